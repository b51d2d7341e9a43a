package cmd

// neverStop has nothing to do here: a read from the console stops no process.
func neverStop() {}

// wholeLines has nothing to do here: a console cuts no line that is read by line.
func wholeLines(any) (restore func()) { return func() {} }

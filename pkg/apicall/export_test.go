package apicall

// NextPage is what a Link field leads to.
func NextPage(values []string) string { return nextPage(values) }

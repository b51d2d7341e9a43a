package devserver

import "time"

// SetBodyWait shortens the wait for a body. It is for use before the server serves.
func (s *Server) SetBodyWait(d time.Duration) { s.bodyWait = d }

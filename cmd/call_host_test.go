package cmd

import "testing"

// What has the form of a host is not taken for a path of the API.
func TestHostsAreRecognised(t *testing.T) {
	for text, want := range map[string]bool{
		"localhost": true, "localhost:8080": true, "api.example.com": true, "API.Example.COM": true, "a-b.example.co": true,
		"127.0.0.1": true, "127.0.0.1:80": true, "db:5432": true, "[::1]": true, "[::1]:443": true, "xn--bcher-kva.example": true,
		"": false, ".": false, "items": false, "a..b.com": false, ".example.com": false, "example.com.": false, "file.1": false,
		"localhost:": false, "localhost:http": false, "db:543210": false, "db:-1": false, "a_b.example.com": false, "ex ample.com": false,
		"[::1": false, "[::1]x": false, "[::1]:": false, "[::1]:x": false, "[items]": false, "münchen.example": false, "name=value": false, "v1.2": false, "%2e.example.com": false,
	} {
		if got := isHost(text); got != want {
			t.Errorf("isHost(%q) = %v, want %v", text, got, want)
		}
	}
}

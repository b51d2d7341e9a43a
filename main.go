// Oauthctl secures and calls APIs with OAuth 2.0 and JWT access tokens.
package main

import (
	"os"

	"github.com/oauthctl/oauthctl/cmd"
)

func main() { os.Exit(cmd.Main()) }

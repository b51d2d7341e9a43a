package cmd

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/apicall"
)

// callPages prints a collection, page after page. Pages that are JSON lists make
// one list; others follow each other as they are. Nothing is held but one page,
// unless a filter has to see the whole.
func (env *Env) callPages(ctx context.Context, client *apicall.Client, request apicall.Request) error {
	list := collection{env: env}
	for res, err := range client.Pages(ctx, request) {
		if err != nil {
			return callFault(err)
		}
		if res.StatusCode >= http.StatusBadRequest {
			// What came before is no whole collection, and is not made to look like one.
			_, _ = io.Copy(env.Stderr, io.LimitReader(res.Body, 1<<20))
			fmt.Fprintln(env.Stderr)
			return env.explainRefusal(res)
		}
		body, err := io.ReadAll(io.LimitReader(res.Body, maxShown+1))
		switch {
		case err != nil:
			return err
		case len(body) > maxShown:
			return usage("a page is larger than %d bytes", maxShown)
		}
		if err := list.add(body, res.Header.Get("Content-Type")); err != nil {
			return err
		}
	}
	return list.end()
}

// collection is what the pages make together.
type collection struct {
	env   *Env
	whole []any // for a filter
	open  bool  // a list was begun
	some  bool  // and has an element
}

func (c *collection) add(body []byte, kind string) error {
	var elements []jsontext.Value
	isList := isJSON(kind) && jsontext.Value(body).Kind() == '[' && json.Unmarshal(body, &elements) == nil
	switch {
	case c.env.global.wantsJSON() && isList:
		for _, e := range elements {
			c.whole = append(c.whole, e)
		}
		return nil
	case c.env.global.wantsJSON():
		c.whole = append(c.whole, bodyValue(body, kind))
		return nil
	case !isList:
		if _, err := c.env.Stdout.Write(body); err != nil {
			return err
		}
		if len(body) > 0 && body[len(body)-1] != '\n' {
			_, err := io.WriteString(c.env.Stdout, "\n")
			return err
		}
		return nil
	}
	s := c.env.stdout()
	for _, e := range elements {
		before := "[\n  "
		if c.some {
			before = ",\n  "
		}
		c.open, c.some = true, true
		text := string(e)
		if c.env.IsTerminal(c.env.Stdout) {
			text = s.json(indented(e, "  "))
		}
		if _, err := io.WriteString(c.env.Stdout, before+text); err != nil {
			return err
		}
	}
	c.open = true
	return nil
}

func (c *collection) end() error {
	var err error
	switch {
	case c.env.global.wantsJSON():
		if c.whole == nil {
			c.whole = []any{}
		}
		err = c.env.printJSON(c.whole)
	case c.some:
		_, err = io.WriteString(c.env.Stdout, "\n]\n")
	case c.open:
		_, err = io.WriteString(c.env.Stdout, "[]\n")
	}
	return err
}

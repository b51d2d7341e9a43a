package cmd

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/apicall"
)

// callPages prints a collection, page after page. Pages that are JSON lists are
// joined to one list; others are printed one after the other. Only one page is
// held in memory, unless a filter needs all of them.
func (env *Env) callPages(ctx context.Context, client *apicall.Client, request apicall.Request, o *callOptions) error {
	next, err := newPager(env, o)
	if err != nil {
		return err
	}
	list := newCollection(env)
	defer list.out.Flush()
	for res, err := range client.Pages(ctx, request, next.find) {
		if err != nil {
			return callFault(err)
		}
		if refusal := apicall.Refused(res); refusal != nil {
			// The pages so far are not the whole collection, so the list is
			// left unfinished.
			if err := list.out.Flush(); err != nil {
				return err
			}
			_, _ = io.Copy(env.Stderr, io.LimitReader(res.Body, 1<<20))
			fmt.Fprintln(env.Stderr)
			return env.explainRefusal(ctx, res, refusal, o)
		}
		next.page, err = io.ReadAll(io.LimitReader(res.Body, maxShown+1))
		switch {
		case err != nil:
			return err
		case len(next.page) > maxShown:
			return tooLarge("a page")
		}
		if err := list.add(next.page, res.Header.Get("Content-Type")); err != nil {
			return err
		}
	}
	next.report()
	if err := list.end(); err != nil {
		return err
	}
	return list.out.Flush()
}

// collection is what the pages make together.
type collection struct {
	env      *Env
	out      *bufio.Writer
	screen   *screen
	terminal bool
	whole    []any // for a filter
	open     bool  // a list was begun
	some     bool  // and has an element
}

func newCollection(env *Env) *collection {
	return &collection{env: env, out: bufio.NewWriterSize(env.Stdout, 64<<10), screen: env.stdout(), terminal: env.IsTerminal(env.Stdout)}
}

func (c *collection) add(body []byte, kind string) error {
	if list, ok := plainList(body, kind); ok && !c.env.global.wantsJSON() {
		c.open = true
		for _, e := range list {
			if err := c.element(e); err != nil {
				return err
			}
		}
		return nil
	}
	values := jsonValues(body, kind, false)
	isList := len(values) == 1 && values[0].Kind() == '['
	switch {
	case c.env.global.wantsJSON() && isList:
		return elements(values[0], func(e jsontext.Value) error {
			c.whole = append(c.whole, e.Clone())
			return nil
		})
	case c.env.global.wantsJSON():
		c.whole = append(c.whole, bodyValue(body, kind))
		return nil
	case !isList:
		if _, err := c.out.Write(body); err != nil {
			return err
		}
		if len(body) > 0 && body[len(body)-1] != '\n' {
			return c.out.WriteByte('\n')
		}
		return nil
	}
	c.open = true
	return elements(values[0], c.element)
}

func (c *collection) element(e jsontext.Value) error {
	before := "[\n  "
	if c.some {
		before = ",\n  "
	}
	c.some = true
	if _, err := c.out.WriteString(before); err != nil {
		return err
	}
	if c.terminal {
		_, err := c.out.WriteString(c.screen.json(indented(e, "  ")))
		return err
	}
	_, err := c.out.Write(e)
	return err
}

// plainList returns the elements of a body that is a JSON list in UTF-8, as
// almost every list is. It returns false for any other, which [jsonValues] may
// still read.
func plainList(body []byte, kind string) ([]jsontext.Value, bool) {
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 || body[0] != '[' || !isJSON(kind) || strings.Contains(kind, "charset") {
		return nil, false
	}
	from := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true))
	if _, err := from.ReadToken(); err != nil {
		return nil, false
	}
	var list []jsontext.Value
	for from.PeekKind() != ']' {
		value, err := from.ReadValue()
		if err != nil {
			return nil, false
		}
		end := from.InputOffset()
		list = append(list, jsontext.Value(body[end-int64(len(value)):end]))
	}
	if _, err := from.ReadToken(); err != nil || len(bytes.TrimSpace(body[from.InputOffset():])) > 0 {
		return nil, false
	}
	return list, true
}

// elements calls each with the elements of a JSON list, unchanged.
func elements(list jsontext.Value, each func(jsontext.Value) error) error {
	from := jsontext.NewDecoder(bytes.NewReader(list), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := from.ReadToken(); err != nil {
		return err
	}
	for from.PeekKind() != ']' {
		value, err := from.ReadValue()
		if err != nil {
			return err
		}
		if err := each(value); err != nil {
			return err
		}
	}
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
		_, err = c.out.WriteString("\n]\n")
	case c.open:
		_, err = c.out.WriteString("[]\n")
	}
	return err
}

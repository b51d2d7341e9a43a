package cmd

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/apicall"
)

const urlEncoded = "application/x-www-form-urlencoded"

// encodedForm is the fields as a URL-encoded form, in their order.
func (all *requestItems) encodedForm() string {
	pairs := make([]string, len(all.parts))
	for i, p := range all.parts {
		pairs[i] = url.QueryEscape(unescape(p.name)) + "=" + url.QueryEscape(p.value)
	}
	return strings.Join(pairs, "&")
}

// multipartForm is the body of the fields as a multipart form (RFC 7578), with its
// Content-Type. Files are opened when the form is sent; its length is known from
// theirs.
func (all *requestItems) multipartForm() (*apicall.Body, string, error) {
	boundary := rand.Text()
	pieces := make([]*apicall.Body, 0, 2*len(all.parts)+1)
	for i, p := range all.parts {
		head, err := p.head(boundary, i == 0)
		if err != nil {
			return nil, "", fmt.Errorf("the item %.200q: %w", p.item, err)
		}
		content := apicall.Text(p.value)
		if p.file {
			if content, err = apicall.File(p.value); err != nil {
				return nil, "", fmt.Errorf("the item %.200q: %w", p.item, err)
			}
		}
		pieces = append(pieces, apicall.Bytes(head), content)
	}
	end := "\r\n--" + boundary + "--\r\n"
	if len(all.parts) == 0 {
		end = end[2:]
	}
	pieces = append(pieces, apicall.Text(end))
	kind := mime.FormatMediaType("multipart/form-data", map[string]string{"boundary": boundary})
	return joined(pieces), kind, nil
}

// head is what comes before a part's content.
func (p part) head(boundary string, first bool) ([]byte, error) {
	h := textproto.MIMEHeader{}
	name := unescape(p.name)
	filename := p.filename
	if p.file && filename == "" {
		filename = filepath.Base(p.value)
	}
	switch {
	case filename != "":
		h.Set("Content-Disposition", multipart.FileContentDisposition(name, filename))
	default:
		h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"`, quoteField(name)))
	}
	kind := p.kind
	switch {
	case kind == "" && p.file:
		if kind = mime.TypeByExtension(filepath.Ext(filename)); kind == "" {
			kind = "application/octet-stream"
		}
	case kind == "" && p.json:
		kind = "application/json"
	}
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	if err := w.SetBoundary(boundary); err != nil {
		return nil, err
	}
	if !first {
		head.WriteString("\r\n")
	}
	if _, err := w.CreatePart(h); err != nil {
		return nil, err
	}
	return head.Bytes(), nil
}

// quoteField escapes a field's name as browsers do.
func quoteField(name string) string {
	return strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A").Replace(name)
}

// joined is one body after the other.
func joined(pieces []*apicall.Body) *apicall.Body {
	whole := &apicall.Body{}
	for _, piece := range pieces {
		whole.Once = whole.Once || piece.Once
		if piece.Length < 0 || whole.Length < 0 {
			whole.Length = -1
		} else {
			whole.Length += piece.Length
		}
	}
	whole.Open = func() (io.ReadCloser, error) { return &sequence{rest: pieces}, nil }
	return whole
}

// sequence reads bodies one after the other, each opened when it is its turn.
type sequence struct {
	now  io.ReadCloser
	rest []*apicall.Body
}

// Read implements [io.Reader].
func (s *sequence) Read(p []byte) (int, error) {
	for {
		if s.now == nil {
			if len(s.rest) == 0 {
				return 0, io.EOF
			}
			var err error
			if s.now, err = s.rest[0].Open(); err != nil {
				return 0, err
			}
			s.rest = s.rest[1:]
		}
		n, err := s.now.Read(p)
		if err != io.EOF {
			return n, err
		}
		err = s.now.Close()
		s.now = nil
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close implements [io.Closer].
func (s *sequence) Close() error {
	s.rest = nil
	if s.now == nil {
		return nil
	}
	return s.now.Close()
}

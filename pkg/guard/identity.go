package guard

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// ClaimHeader is a header that passes a claim to the API. A list is joined with
// commas. If the claim is missing, the header is not sent.
type ClaimHeader struct{ Header, Claim string }

func (ch ClaimHeader) check() error {
	if ch.Claim == "" || ch.Header == "" || !isPlain(ch.Header) {
		return fmt.Errorf("guard: expected a header name of letters, digits and dashes, and a claim, got %q and %q", ch.Header, ch.Claim)
	}
	class := fields{}.classOf(ch.Header)
	switch name := string(fold(nil, ch.Header)); {
	case name == "x-auth-subject", name == "x-auth-scope", name == "x-auth-issuer", name == "x-auth-client-id", name == "x-request-id",
		name == "host", name == "connection", name == "content-length", name == "transfer-encoding", name == "te", name == "trailer", name == "upgrade":
		return fmt.Errorf("guard: the header %q cannot be used for a claim", ch.Header)
	case class == credential, class == forwarding, class == override:
		return fmt.Errorf("guard: the header %q cannot be used for a claim", ch.Header)
	}
	return nil
}

// introduce sets the headers with the caller's identity. If the API could
// interpret them differently, the request is refused.
func (h *Handler) introduce(w http.ResponseWriter, n *note, t *token.Token) bool {
	n.knows(t)
	who, d := h.identityOf(n.rules, t)
	if d != nil {
		n.refuse(d)
		problem(w, http.StatusForbidden, d.Summary(), d.ID)
		return false
	}
	n.who = who
	return true
}

const (
	headerSubject  = "X-Auth-Subject"
	headerScope    = "X-Auth-Scope"
	headerIssuer   = "X-Auth-Issuer"
	headerClientID = "X-Auth-Client-Id"
)

// introduction holds the headers with the caller's identity.
type introduction []field

type field struct{ name, value string }

// write sets the fields in h.
func (who introduction) write(h http.Header) {
	values := make([]string, len(who))
	for i, f := range who {
		values[i] = f.value
		h[f.name] = values[i : i+1 : i+1]
	}
}

// identityOf returns the headers with the caller's identity.
func (h *Handler) identityOf(x *rules, t *token.Token) (introduction, *diagnosis.Diagnosis) {
	subject := t.Subject()
	if subject == "" && !h.config.AllowNoSubject {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.ClaimInvalid, Expected: diagnosis.Text("a sub that identifies the caller"), Got: diagnosis.None}
	}
	who := append(make(introduction, 0, 4+len(h.config.ClaimHeaders)), field{headerIssuer, t.Issuer()}, field{headerScope, strings.Join(x.scopes(t), " ")})
	if subject != "" {
		who = append(who, field{headerSubject, subject})
	}
	if client := t.ClientID(); client != "" {
		who = append(who, field{headerClientID, client})
	}
	for _, ch := range h.config.ClaimHeaders {
		value, there := t.ClaimJSON(ch.Claim)
		if !there || value == "null" {
			continue
		}
		text, ok := claimText(value)
		if !ok {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.ClaimInvalid, Expected: diagnosis.Text("a claim " + ch.Claim + " that is allowed in a header"), Got: diagnosis.FromJSON(value)}
		}
		who = append(who, field{http.CanonicalHeaderKey(ch.Header), text})
	}
	for _, f := range who {
		if !fitsHeader(f.value) {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.ClaimInvalid, Expected: diagnosis.Text("a value of " + f.name + " that is allowed in a header"), Got: diagnosis.Values{f.value}}
		}
	}
	return who, nil
}

// claimText writes the JSON text of a claim as one field value, as the policy
// compares it; a list with commas between its elements, none of which may have a
// comma.
func claimText(value string) (string, bool) {
	if value[0] != '[' {
		return policy.ClaimText(value)
	}
	var list []jsontext.Value
	if json.Unmarshal([]byte(value), &list) != nil {
		return "", false
	}
	all := make([]string, len(list))
	for i, element := range list {
		text, ok := policy.ClaimText(string(element))
		if !ok || text == "" || strings.Contains(text, ",") || !fitsHeader(text) {
			return "", false
		}
		all[i] = text
	}
	return strings.Join(all, ","), true
}

// fitsHeader reports whether a text is unchanged in a header (RFC 9110, section
// 5.5).
func fitsHeader(text string) bool {
	return strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == '\x7f' })
}

// scopes returns the scopes that are allowed in a header, which are all that
// RFC 6749, section 3.3, allows.
func (x *rules) scopes(t *token.Token) []string {
	return slices.DeleteFunc(t.Scopes(x.policy.ScopeClaims...), func(scope string) bool {
		return !fitsHeader(scope) || strings.Contains(scope, " ")
	})
}

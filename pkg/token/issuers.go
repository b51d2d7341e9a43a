package token

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// Join returns a verifier for tokens of the verifiers' issuers, each verified by
// its own verifier. A token of another issuer is refused without any request.
// Join returns an error if two verifiers have the same issuer, or if there is
// none.
func Join(verifiers ...*Verifier) (*Verifier, error) {
	j, err := join(verifiers, func(v *Verifier) (*checker, bool) { return &v.j, v.joined != nil })
	if err != nil {
		return nil, err
	}
	return &Verifier{joined: j}, nil
}

// JoinInspectors is like [Join], for inspectors. Each must have an issuer.
func JoinInspectors(inspectors ...*Inspector) (*Inspector, error) {
	j, err := join(inspectors, func(i *Inspector) (*checker, bool) { return &i.j, i.joined != nil })
	if err != nil {
		return nil, err
	}
	return &Inspector{joined: j}, nil
}

// joined is a fixed list of issuers.
type joined[T any] struct {
	list     []T
	byIssuer map[string]T
	issuers  diagnosis.Values
}

func join[T any](list []T, of func(T) (j *checker, isJoined bool)) (*joined[T], error) {
	if len(list) == 0 {
		return nil, errors.New("token: nothing to join")
	}
	all := &joined[T]{list: list, byIssuer: map[string]T{}}
	for _, one := range list {
		j, isJoined := of(one)
		if isJoined || j.issuer == "" {
			return nil, errors.New("token: only verifiers of one issuer can be joined")
		}
		if _, twice := all.byIssuer[j.issuer]; twice {
			return nil, fmt.Errorf("token: duplicate issuer %s", diagnosis.Quote(j.issuer))
		}
		all.byIssuer[j.issuer] = one
		all.issuers = append(all.issuers, j.issuer)
	}
	return all, nil
}

// choose returns the verifier for the issuer in the token. A token that cannot be
// parsed is passed to the first verifier, which returns the reason.
func (all *joined[T]) choose(raw string) (one T, d *diagnosis.Diagnosis) {
	t, err := Decode(raw)
	if err != nil {
		return all.list[0], nil
	}
	claimed := t.lookup("iss")
	issuer, _ := unquote(claimed)
	if one, ok := all.byIssuer[issuer]; ok {
		return one, nil
	}
	d = &diagnosis.Diagnosis{ID: diagnosis.IssMismatch, Expected: all.issuers, Got: diagnosis.FromJSON(claimed)}
	switch {
	case claimed == "":
		d.ID = diagnosis.IssMissing
	case slices.ContainsFunc(all.issuers, func(i string) bool { return sameButSlash(i, issuer) }):
		d.ID = diagnosis.IssSlash
	}
	return one, explained(t, d)
}

// foreign reports on a token of an issuer that is not in the list.
func (j *checker) foreign(ctx context.Context, raw string, d *diagnosis.Diagnosis) *Report {
	other := *j
	other.issuer, other.keys = "", noKeys{d}
	return other.report(ctx, raw)
}

// noKeys is the key set of an issuer that is not trusted.
type noKeys struct{ why *diagnosis.Diagnosis }

func (k noKeys) Keys(context.Context, jwks.Query) (jwks.Candidates, error) {
	return jwks.Candidates{}, k.why
}
func (noKeys) Generation() uint64      { return 0 }
func (noKeys) Former(string) *jwks.Key { return nil }

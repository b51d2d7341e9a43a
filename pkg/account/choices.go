package account

import (
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// Choices returns the values that a setting may have, nil if the list is not
// closed.
func Choices(key profile.Key) []string {
	switch key {
	case profile.AuthMethod:
		return oauth.AuthMethods()
	case profile.GrantType:
		return GrantTypes()
	case profile.StoreKind:
		return StoreKinds()
	}
	return nil
}

// CheckChoices returns an error if a setting of the profile has a value that it
// cannot have. [Open] does the same. Errors are Diagnoses: CONFIG_INVALID.
func CheckChoices(p *profile.Profile) error {
	for _, key := range []profile.Key{profile.AuthMethod, profile.GrantType, profile.StoreKind} {
		if err := checkChoice(p, key); err != nil {
			return err
		}
	}
	return nil
}

func checkChoice(p *profile.Profile, key profile.Key) error {
	value := p.Get(key)
	if value == "" || slices.Contains(Choices(key), value) {
		return nil
	}
	return &diagnosis.Diagnosis{
		ID: diagnosis.ConfigInvalid, Expected: diagnosis.Values{string(key) + " to be " + strings.Join(Choices(key), ", ")}, Got: diagnosis.Values{diagnosis.Shorten(value, 200)},
	}
}

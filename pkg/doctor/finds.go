package doctor

import (
	"slices"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Finds reports whether an examination can find the cause of a failure with this
// id.
func Finds(id diagnosis.ID) bool {
	return slices.Contains([]diagnosis.ID{
		diagnosis.Unreachable, diagnosis.Timeout, diagnosis.TLSUntrusted, diagnosis.TLSMissing, diagnosis.ResponseBroken,
		diagnosis.ProxyRefused, diagnosis.RateLimited, diagnosis.ServerError,
		diagnosis.MetadataNotFound, diagnosis.MetadataInvalid, diagnosis.PRMResourceMismatch, diagnosis.IssDiscoveryMismatch, diagnosis.IssSlash,
		diagnosis.InsecureEndpoint, diagnosis.PKCEDowngrade, diagnosis.KeysUnavailable, diagnosis.KeySetEmpty, diagnosis.KeySetInvalid, diagnosis.KeyRefused,
		diagnosis.ClockSkew, diagnosis.NotYetValid, diagnosis.NoRegistrationPath, diagnosis.ScopeRefused, diagnosis.TokenEndpointShape,
		diagnosis.APIUnauthorized, diagnosis.SessionElsewhere,
	}, id)
}

package diagnosis

// catalogue has one row for each id, in the order of the documentation.
var catalogue = [][]Entry{
	tokenFormat,
	tokenKeys,
	tokenClaims,
	tokenRequests,
	tokenWarnings,
	tokenProviders,
	permissions,
	logins,
	network,
	serverResponses,
	requests,
	tokenStore,
	apiAudits,
	profiles,
}

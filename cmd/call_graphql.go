package cmd

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// graphqlErrors returns how many errors a GraphQL answer has (GraphQL, section
// 7.1.2), and the first one's message.
func graphqlErrors(body []byte) (count int, first string) {
	var answer struct {
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	var raw struct {
		Errors jsontext.Value `json:"errors"`
	}
	lax := jsontext.AllowDuplicateNames(true)
	if json.Unmarshal(body, &raw, lax) != nil || raw.Errors.Kind() != '[' {
		return 0, ""
	}
	if json.Unmarshal(body, &answer, lax) != nil {
		return 1, "" // errors of another form
	}
	if len(answer.Errors) > 0 {
		first = answer.Errors[0].Message
	}
	return len(answer.Errors), first
}

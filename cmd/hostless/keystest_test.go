package main

import "testing"

func TestAccepted(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		want       bool
		message    string
	}{
		{"unknown model", `{"error":{"message":"The model does not exist","code":"model_not_found"}}`, 404, true, "The model does not exist"},
		{"bad key", `{"error":{"message":"Incorrect API key provided"}}`, 401, false, "Incorrect API key provided"},
		{"no permission", `{"error":"forbidden"}`, 403, false, "forbidden"},
		{"Google's bad key", `{"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}`, 400, false, "API key not valid. Please pass a valid API key."},
		{"bad model as 400", `{"message":"invalid model"}`, 400, true, "invalid model"},
		{"over the limit", `{"error":{"message":"slow down"}}`, 429, true, "slow down"},
		{"an answer", `{"choices":[]}`, 200, true, ""},
		{"a page", `<html>`, 502, false, "<html>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := messageOf([]byte(tt.body)); got != tt.message {
				t.Errorf("messageOf(%s) = %q, want %q", tt.body, got, tt.message)
			}
			if got := accepted(tt.status, tt.message); got != tt.want {
				t.Errorf("accepted(%d, %q) = %t, want %t", tt.status, tt.message, got, tt.want)
			}
		})
	}
}

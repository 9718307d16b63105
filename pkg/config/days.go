package config

import (
	"fmt"
	"strings"
	"time"
)

// ParseDays is time.ParseDuration that also accepts whole days, as in "30d".
func ParseDays(text string) (time.Duration, error) {
	number, days := strings.CutSuffix(text, "d")
	if !days {
		return time.ParseDuration(text)
	}
	d, err := time.ParseDuration(number + "h")
	if err != nil || d > 100*365*time.Hour || d < -100*365*time.Hour {
		return 0, fmt.Errorf("%.32q is not a number of days", text)
	}
	return d * 24, nil
}

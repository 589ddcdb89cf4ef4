package scenario

import (
	"os"
	"testing"
)

func TestSurveyAll(t *testing.T) {
	if os.Getenv("SURVEY") == "" {
		t.Skip()
	}
	s, err := Readings(all(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.WriteText(os.Stdout)
}

package view

// A style is the parameter of an ANSI "select graphic rendition" sequence.
type style string

const (
	none   style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

type painted struct {
	style style
	text  string
}

func paint(s style, text string) painted { return painted{s, text} }

func (p painted) render(colour bool) string {
	if !colour || p.style == none || p.text == "" {
		return p.text
	}
	return "\x1b[" + string(p.style) + "m" + p.text + "\x1b[0m"
}

package manifest

import (
	"path/filepath"
	"reflect"
	"strings"
)

// scheme begins a string that stands for a secret.
const scheme = "secret://"

func isReference(s string) bool { return strings.HasPrefix(s, scheme) }

// reference puts a secret in the place of the value that refers to it, if there is a way to.
func (d *document) reference(x value, v reflect.Value) bool {
	x.res.refers, x.res.sensitive = true, true
	if d.options.Secrets == nil {
		v.SetString(x.Value)
		return true
	}
	secret, err := d.options.Secrets(filepath.Dir(d.manifest.File), x.Value)
	if err != nil {
		d.fail(at(x.Node), "", "%s: %s: %v", x.what, x.field.Name, err)
		return false
	}
	if d.manifest.Secrets == nil {
		d.manifest.Secrets = Secrets{}
	}
	d.manifest.Secrets[x.Value] = secret
	v.SetString(secret)
	return true
}

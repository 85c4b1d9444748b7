package dial

import (
	"fmt"
	"slices"
	"strings"

	"spore/remote/dial/sshconfig"
)

// keywords are those of ssh_config(5), honoured here or not, in lower case. OpenSSH refuses a file
// with any other; here it is said that it does nothing, for it may be one of a newer version.
var keywords = strings.Fields(`
	addkeystoagent addressfamily afstokenpassing batchmode bindaddress bindinterface
	canonicaldomains canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots
	canonicalizepermittedcnames casignaturealgorithms certificatefile challengeresponseauthentication
	channeltimeout checkhostip cipher ciphers clearallforwardings compression compressionlevel
	connectionattempts connecttimeout controlmaster controlpath controlpersist dsaauthentication
	dynamicforward enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fingerprinthash
	forkafterauthentication forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports
	globalknownhostsfile gssapiauthentication gssapiclientidentity gssapidelegatecredentials gssapikexalgorithms
	gssapikeyexchange gssapirenewalforcesrekey gssapiserveridentity gssapitrustdns hashknownhosts
	hostbasedacceptedalgorithms hostbasedauthentication hostbasedkeytypes hostkeyalgorithms hostkeyalias
	hostname identitiesonly identityagent identityfile ignoreunknown include ipqos kbdinteractiveauthentication
	kbdinteractivedevices kerberosauthentication kerberostgtpassing kexalgorithms knownhostscommand
	localcommand localforward loglevel logverbose macs nohostauthenticationforlocalhost
	numberofpasswordprompts obscurekeystroketiming passwordauthentication permitlocalcommand permitremoteopen
	pkcs11provider port preferredauthentications protocol proxycommand proxyjump proxyusefdpass
	pubkeyacceptedalgorithms pubkeyacceptedkeytypes pubkeyauthentication refuseconnection rekeylimit
	remotecommand remoteforward requesttty requiredrsasize revokedhostkeys rhostsrsaauthentication
	rsaauthentication securitykeyprovider sendenv serveralivecountmax serveraliveinterval sessiontype setenv
	smartcarddevice stdinnull streamlocalbindmask streamlocalbindunlink stricthostkeychecking syslogfacility
	tag tcpkeepalive tunnel tunneldevice updatehostkeys useprivilegedport usekeychain user
	userknownhostsfile useroaming verifyhostkeydns versionaddendum visualhostkey warnweakcrypto
	xauthlocation`)

// unknown says which keywords nobody knows, unless IgnoreUnknown has them.
func unknown(cfg *sshconfig.Settings) []string {
	ignored, _ := cfg.Get("ignoreunknown")
	patterns := strings.Split(strings.ToLower(ignored.String()), ",")
	var list []string
	for key, v := range cfg.Everything() {
		if !slices.Contains(keywords, key) && !sshconfig.MatchList(patterns, key) {
			list = append(list, fmt.Sprintf("%s: %s is no keyword of ssh_config that is known here: it does nothing", v.Pos, key))
		}
	}
	slices.Sort(list)
	return list
}

package protocol

// The key pair that MPush publishes in its reference.conf. Anybody can decrypt
// what is encrypted with it.
const (
	demoPublic = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCghPCWCobG8nTD24juwSVataW7iViRxcTkey/B792VZEhuHjQv" +
		"A3cAJgx2Lv8GnX8NIoShZtoCg3Cx6ecs+VEPD2fBcg2L4JK7xldGpOJ3ONEAyVsLOttXZtNXvyDZRijiErQALMTo" +
		"rcgi79M5uVX9/jMv2Ggb2XAeZhlLD28fHwIDAQAB"
	demoPrivate = "MIIBNgIBADANBgkqhkiG9w0BAQEFAASCASAwggEcAgEAAoGBAKCE8JYKhsbydMPbiO7BJVq1pbuJWJHFxOR7L8Hv" +
		"3ZVkSG4eNC8DdwAmDHYu/wadfw0ihKFm2gKDcLHp5yz5UQ8PZ8FyDYvgkrvGV0ak4nc40QDJWws621dm01e/INlG" +
		"KOIStAAsxOityCLv0zm5Vf3+My/YaBvZcB5mGUsPbx8fAgEAAoGAAy0+WanRqwRHXUzt89OsupPXuNNqBlCEqgTq" +
		"GAt4Nimq6Ur9u2R1KXKXUotxjp71Ubw6JbuUWvJg+5Rmd9RjT0HOUEQF3rvzEepKtaraPhV5ejEIrB+nJWNfGye4" +
		"yzLdfEXJBGUQzrG+wNe13izfRNXI4dN/6Q5npzqaqv0E1CkCAQACAQACAQACAQACAQA="
)

// DemoKeyPair is the key pair that every stock MPush server and SDK is configured
// with. It protects nothing: it is for trying things out, and a node warns loudly
// when it runs with it.
func DemoKeyPair() (*PrivateKey, error) { return ParseKeyPair([]byte(demoPrivate), []byte(demoPublic)) }

// IsDemo reports whether k is the published key pair, however it was configured.
func (k *PrivateKey) IsDemo() bool { return k.Public().IsDemo() }

// IsDemo reports whether k is the published public key.
func (k *PublicKey) IsDemo() bool {
	demo, err := ParsePublicKey([]byte(demoPublic))
	return err == nil && k.rsa.N.Cmp(demo.rsa.N) == 0
}

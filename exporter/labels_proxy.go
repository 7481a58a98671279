package exporter

// ProxyResult is how a request of a device through the HTTP proxy ended.
type ProxyResult uint8

// The results of a request through the HTTP proxy.
const (
	ProxyOK         ProxyResult = iota // the destination answered, whatever it said
	ProxyRefused                       // no rule allows the destination, or its address is not public
	ProxyBadRequest                    // the request is malformed
	ProxyTimeout                       // no complete answer in time
	ProxyConnect                       // the destination could not be found or reached
	ProxyUpstream                      // the destination broke off or does not speak HTTP
	ProxyTooLarge                      // the answer is over the limit
	ProxyOverload                      // no room for the request or its answer
	ProxyGone                          // the device left before the answer

	numProxyResults = int(ProxyGone) + 1
)

var proxyResultNames = [numProxyResults]string{
	"ok", "refused", "bad_request", "timeout", "connect", "upstream", "too_large", "overload", "gone",
}

// String is the label value.
func (r ProxyResult) String() string { return proxyResultNames[clamp(r, numProxyResults)] }

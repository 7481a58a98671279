// Package config reads and checks the configuration of the fanfare program: one
// YAML file, the environment and the command line, strictly, with every problem
// named by file, line and key. The structs below are the only place where a
// setting is declared; the reference in docs/CONFIGURATION.md is made from their tags.
//
// Tags: key is the name in the file; default the value without any; doc what the
// reference says; min, max and oneof bound the value; kind marks an address; host
// marks one that follows the --listen flag of "fanfare run".
package config

// Config is every setting.
type Config struct {
	Node     Node     `key:"node"`
	Alloc    Alloc    `key:"alloc"`
	API      API      `key:"api"`
	Store    Store    `key:"store"`
	Registry Registry `key:"registry"`
	Security Security `key:"security"`
	Limits   Limits   `key:"limits"`
	Push     Push     `key:"push"`
	Proxy    Proxy    `key:"proxy"`
	Canary   Canary   `key:"canary"`
	Log      Log      `key:"log"`
}

// Node names the push node and says where it listens.
type Node struct {
	ID        string    `key:"id" doc:"Name of the node in the cluster, the API, the console and logs. No two nodes may have the same. Empty: the host name."`
	PublicIP  string    `key:"public_ip" doc:"Address under which devices know this machine; it also names the node's list of online users, as in MPush. Empty: the host of node.advertise.device."`
	Weight    int       `key:"weight" default:"1" min:"1" max:"1000" doc:"Share of the devices this node is to get, relative to the others."`
	WebPath   string    `key:"websocket_path" default:"/" doc:"Path of WebSocket connections; every other path shows a page that names the console."`
	Listen    Listen    `key:"listen"`
	Advertise Advertise `key:"advertise"`
}

// Listen holds the addresses a node binds. An empty one turns its listener off.
type Listen struct {
	Device    string `key:"device" default:":3000" kind:"listen" host:"public" doc:"Devices, MPush binary protocol. Empty: off."`
	WebSocket string `key:"websocket" default:":8008" kind:"listen" host:"public" doc:"Devices over WebSocket, MPush JSON. Empty: off."`
	Gateway   string `key:"gateway" default:"127.0.0.1:3001" kind:"listen" doc:"MPush back ends and other nodes. In a cluster (registry.kind zookeeper) the default is this machine's private address. The protocol of back ends has no credentials: only loopback, private addresses and security.gateway_allow may connect. Empty: off."`
	Admin     string `key:"admin" default:"127.0.0.1:3002" kind:"listen" doc:"Text console for operators (telnet). An address that is not loopback needs security.admin_password. Empty: off."`
	Ops       string `key:"ops" default:":9310" kind:"listen" host:"public" doc:"/metrics, /-/healthy, /-/ready for everybody; /debug/pprof and POST /-/drain for this machine only. Empty: off."`
}

// Advertise holds the addresses others are told. Empty: made from the listen address.
type Advertise struct {
	Device    string `key:"device" kind:"address" doc:"host:port that the allocator tells devices. Empty: the listen address, with this machine's address for a wildcard."`
	WebSocket string `key:"websocket" kind:"address" doc:"host:port of the WebSocket listener that others are told. Empty: as for device."`
	Gateway   string `key:"gateway" kind:"address" doc:"host:port of the gateway that back ends and nodes are told. Empty: as for device."`
	Ops       string `key:"ops" kind:"address" doc:"host:port that Prometheus scrapes. Empty: as for device."`
}

// Alloc is the allocator with the HTTP API and the console.
type Alloc struct {
	ID        string `key:"id" doc:"Name of the allocator in metrics and to the nodes. Empty: node.id, or else the host name."`
	Listen    string `key:"listen" default:"127.0.0.1:9999" kind:"listen" host:"public" doc:"Allocator, HTTP API and console. A public address needs api.tokens."`
	Advertise string `key:"advertise" kind:"address" doc:"host:port under which Prometheus finds the allocator (/sd/prometheus). Empty: the one by which it asked."`
}

// API is who may use the HTTP API and how much.
type API struct {
	Tokens     []Secret `key:"tokens" doc:"Bearer tokens, any one of which opens the API. At least 16 characters each. Empty: the API is served on loopback only."`
	TokensFile string   `key:"tokens_file" doc:"File with the tokens, one a line."`
	Insecure   bool     `key:"insecure" default:"false" doc:"Serve the API on a public address without tokens. For closed networks."`
	Rate       float64  `key:"rate" default:"10000" min:"0" doc:"API requests a second over all callers; more get 429 with Retry-After. 0: no limit."`
	Burst      int      `key:"burst" default:"20000" min:"1" max:"1000000" doc:"API requests that may come at once above api.rate."`
	MaxBody    Size     `key:"max_body" default:"4m" min:"1k" max:"64m" doc:"Largest request body; a larger one gets 413 before it is read."`
	MaxWait    Duration `key:"max_wait" default:"30s" min:"0s" max:"10m" doc:"Longest time a push may wait for its outcome."`
}

// Store is where routes and sessions are kept.
type Store struct {
	Kind  string `key:"kind" default:"embedded" oneof:"embedded|redis" doc:"embedded: in this process, for one node alone. redis: shared by all nodes, in MPush's layout."`
	Dir   string `key:"dir" doc:"Directory of the embedded store's files. Empty: memory only, so that sessions end with the process."`
	Redis Redis  `key:"redis"`
}

// Redis is how to reach the store of a cluster.
type Redis struct {
	Mode         string   `key:"mode" default:"single" oneof:"single|sentinel|cluster" doc:"single: one server. sentinel: the addresses are sentinels, and master is the name they know the server by. cluster: Redis Cluster."`
	Addresses    []string `key:"addresses" default:"127.0.0.1:6379" doc:"host:port of the servers, or of the sentinels."`
	Master       string   `key:"master" doc:"Name of the master, for sentinel."`
	Username     string   `key:"username" doc:"User of Redis's access control list. Empty: the default user."`
	Password     Secret   `key:"password" doc:"Password of the user."`
	PasswordFile string   `key:"password_file" doc:"File with the password."`
	DB           int      `key:"db" default:"0" min:"0" max:"1000" doc:"Number of the database. MPush always uses 0; Redis Cluster has only 0."`
	TLS          bool     `key:"tls" default:"false" doc:"Connect with TLS and check the server's certificate."`
	CAFile       string   `key:"ca_file" doc:"Certificates (PEM) to check the server's against. Empty: those of the system."`
	Timeout      Duration `key:"timeout" default:"2s" min:"50ms" max:"30s" doc:"Time one command may take."`
	PoolSize     int      `key:"pool_size" default:"0" min:"0" max:"10000" doc:"Connections to each server. 0: ten for each processor."`
	SweepRate    int      `key:"sweep_rate" default:"5000" min:"10" max:"1000000" doc:"Routes a second that a sweep for stale ones looks at."`
	SweepEvery   Duration `key:"sweep_every" default:"1h" min:"1m" max:"7d" doc:"Time between two such sweeps."`
}

// Registry is how nodes find each other.
type Registry struct {
	Kind      string    `key:"kind" default:"static" oneof:"static|zookeeper" doc:"static: the nodes of registry.nodes, or this node alone. zookeeper: nodes announce themselves, in MPush's layout."`
	Nodes     []string  `key:"nodes" doc:"The other nodes of a static cluster, each as id=gateway-host:port."`
	ZooKeeper ZooKeeper `key:"zookeeper"`
}

// ZooKeeper is how to reach the registry of a cluster. Defaults are MPush's.
type ZooKeeper struct {
	Servers        []string `key:"servers" default:"127.0.0.1:2181" doc:"host:port of the servers."`
	Namespace      string   `key:"namespace" default:"mpush" doc:"First part of every path."`
	Digest         Secret   `key:"digest" doc:"Credential of the digest scheme that every path is protected with; mpush unless set, as in MPush."`
	DigestFile     string   `key:"digest_file" doc:"File with the digest credential."`
	SessionTimeout Duration `key:"session_timeout" default:"5s" min:"1s" max:"1m" doc:"How long a node may be silent before the others take it for dead."`
}

// Security holds keys and what is asked of devices.
type Security struct {
	PrivateKey        Secret   `key:"private_key" doc:"RSA private key of the handshake, PEM or MPush's bare base64."`
	PrivateKeyFile    string   `key:"private_key_file" doc:"File with the private key."`
	PublicKey         string   `key:"public_key" doc:"RSA public key of the pair, only for MPush private keys that lack the exponent; PEM or bare base64."`
	PublicKeyFile     string   `key:"public_key_file" doc:"File with the public key."`
	DemoKey           bool     `key:"demo_key" default:"false" doc:"Use MPush's published key pair. Everybody has its private key, so traffic is not secret. For trials only; fanfare run uses it when no key is given."`
	RequireEncryption bool     `key:"require_encryption" default:"false" doc:"Refuse handshakes and binds in clear on the binary port."`
	TLSCertFile       string   `key:"tls_cert_file" doc:"Certificate chain (PEM) for TLS on the device and WebSocket ports. Empty: no TLS."`
	TLSKeyFile        string   `key:"tls_key_file" doc:"Private key (PEM) of the certificate."`
	GatewayAllow      []string `key:"gateway_allow" doc:"Networks (10.1.0.0/16) or addresses beside loopback and private ones whose back ends and nodes may connect to the gateway."`
	GatewaySecret     Secret   `key:"gateway_secret" doc:"Secret that all nodes and allocators share. With it nodes prove to each other who they are, from any address; without it addresses alone decide. At least 16 characters."`
	GatewaySecretFile string   `key:"gateway_secret_file" doc:"File with that secret."`
	AdminPassword     Secret   `key:"admin_password" doc:"Password that the admin console asks for. Empty: none, and the console listens on loopback only. At least 12 characters."`
	AdminPasswordFile string   `key:"admin_password_file" doc:"File with that password."`
	AllowedOrigins    []string `key:"allowed_origins" doc:"Origins of web pages that may open a WebSocket, such as https://app.example.org. Empty: any, as in MPush."`
}

// Limits bounds what a connection may cost. Sizes and times are those of MPush
// where MPush has them.
type Limits struct {
	MaxPacketSize       Size     `key:"max_packet_size" default:"10k" min:"256" max:"16m" doc:"Largest body a device or back end may send on the binary ports. A header that announces more closes the connection (too_large)."`
	MaxWebSocketMessage Size     `key:"max_websocket_message" default:"64k" min:"256" max:"16m" doc:"Largest WebSocket message; more closes with 1009 (too_large)."`
	MaxGatewayPacket    Size     `key:"max_gateway_packet" default:"1m" min:"10k" max:"64m" doc:"Largest body a back end may send to the gateway; more closes the connection. MPush allows 10k."`
	MaxInflatedSize     Size     `key:"max_inflated_size" default:"1m" min:"256" max:"64m" doc:"Largest size a compressed body may grow to."`
	CompressThreshold   Size     `key:"compress_threshold" default:"10k" min:"0" max:"16m" doc:"Bodies larger than this are sent compressed. 0: never."`
	MaxConnections      int      `key:"max_connections" default:"0" min:"0" doc:"Device connections at a time; the next is closed (capacity). 0: what the limit of open files allows, which also cuts down what is more."`
	OutboundBytes       Size     `key:"outbound_bytes" default:"64k" min:"4k" max:"64m" doc:"What may wait for a slow device beyond its socket's buffer; more closes the connection (slow_bytes)."`
	OutboundAge         Duration `key:"outbound_age" default:"2m" min:"1s" max:"1h" doc:"How long the oldest of it may wait (slow_age)."`
	SendBuffer          Size     `key:"send_buffer" default:"32k" min:"0" max:"16m" doc:"Send buffer of a device's socket; it decides how soon a slow device is noticed. 0: the system decides."`
	ReceiveBuffer       Size     `key:"receive_buffer" default:"32k" min:"0" max:"16m" doc:"Receive buffer of a device's socket. 0: the system decides."`
	HandshakeTimeout    Duration `key:"handshake_timeout" default:"1m" min:"100ms" max:"10m" doc:"Time a new connection has for its handshake (handshake_timeout)."`
	SessionTTL          Duration `key:"session_ttl" default:"24h" min:"1m" max:"365d" doc:"How long a device may resume its session with a fast connect."`
	MinHeartbeat        Duration `key:"min_heartbeat" default:"3m" min:"1s" max:"24h" doc:"Shortest heartbeat interval a device is granted."`
	MaxHeartbeat        Duration `key:"max_heartbeat" default:"3m" min:"1s" max:"24h" doc:"Longest heartbeat interval a device is granted."`
	HeartbeatTimeouts   int      `key:"heartbeat_timeouts" default:"2" min:"0" max:"100" doc:"Intervals a device may miss; one more closes its connection (idle)."`
	WebSocketPing       Duration `key:"websocket_ping" default:"1m" min:"1s" max:"1h" doc:"Silence after which a WebSocket is pinged; two more such times close it (idle)."`
	UserBytes           Size     `key:"user_bytes" default:"256" min:"16" max:"4k" doc:"Longest user id."`
	Gateways            int      `key:"gateway_connections" default:"1024" min:"1" max:"1000000" doc:"Gateway connections at a time; the next is closed."`
	GatewayInFlight     int      `key:"gateway_in_flight" default:"65536" min:"1" max:"100000000" doc:"Pushes outstanding on one gateway connection; the next is answered with a failure."`
	RSAWorkers          int      `key:"rsa_workers" default:"0" min:"0" max:"1024" doc:"Key exchanges computed at a time. 0: one for each processor."`
	RSAQueue            int      `key:"rsa_queue" default:"4096" min:"1" max:"10000000" doc:"Key exchanges that may wait; a handshake more closes its connection (overload)."`
	StoreWorkers        int      `key:"store_workers" default:"0" min:"0" max:"1024" doc:"Calls to the store at a time. 0: four for each processor."`
	StoreQueue          int      `key:"store_queue" default:"20000" min:"1" max:"10000000" doc:"Calls to the store that may wait; one more closes the connection that wanted it (overload)."`
}

// Push is how messages are delivered and how long they are remembered.
type Push struct {
	AckTimeout     Duration `key:"ack_timeout" default:"10s" min:"100ms" max:"10m" doc:"How long to wait for a device's ack when the push does not say."`
	MaxPendingAcks int      `key:"max_pending_acks" default:"256" min:"1" max:"65536" doc:"Acks awaited from one connection; the next push that wants one ends as rejected."`
	MaxBroadcasts  int      `key:"max_broadcasts" default:"16" min:"1" max:"1024" doc:"Broadcasts that run at a time; the next ends as rejected."`
	BroadcastRate  int      `key:"broadcast_rate" default:"3000" min:"0" max:"1000000" doc:"Connections per second that one broadcast writes to on each node, after the first so many at once. A task id in Redis sets its own. 0: as fast as sockets take it."`
	UnicastRate    int      `key:"unicast_rate" default:"0" min:"0" max:"1000000" doc:"Pushes to single users per second that a node sends, after the first so many at once; the next wait in order. 0: no limit."`
	UnicastQueue   int      `key:"unicast_queue" default:"10000" min:"1" max:"1000000" doc:"Pushes that may wait for it, none for longer than 3 s; one more ends as rejected."`
	RouteTimeout   Duration `key:"route_timeout" default:"5s" min:"100ms" max:"1m" doc:"How long a push may wait for a node that does not answer, or for the store."`
	DrainRate      int      `key:"drain_rate" default:"500" min:"1" max:"1000000" doc:"Connections a second that are asked to leave while the node drains."`
	DrainTimeout   Duration `key:"drain_timeout" default:"30s" min:"0s" max:"1h" doc:"How long a process that was asked to end drains before it closes what is left. 0: it does not drain."`
	KickGrace      Duration `key:"kick_grace" default:"3s" min:"0s" max:"1m" doc:"How long a device that was told of a login elsewhere may stay connected, to say goodbye, before its connection is closed (kicked)."`
	LedgerMessages int      `key:"ledger_messages" default:"100000" min:"100" max:"100000000" doc:"Messages whose stages and outcome can be asked for; the oldest are forgotten first."`
	LedgerBytes    Size     `key:"ledger_bytes" default:"64m" min:"1m" max:"64g" doc:"Memory that these may take."`
}

// Log is what is logged and how.
type Log struct {
	Level  string `key:"level" default:"info" oneof:"debug|info|warn|error" doc:"Least level that is logged."`
	Format string `key:"format" default:"text" oneof:"text|json" doc:"text (logfmt) or json, one record a line, on standard error."`
}

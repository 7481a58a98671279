package exporter

// StoreValue is a kind of value in the store that several programs write.
type StoreValue uint8

// The kinds of values.
const (
	ValueSession StoreValue = iota
	ValueRoute
	ValueKick // a message that ends a connection on another node
	ValueTask // what steers a broadcast

	// NumStoreValues sizes arrays indexed by StoreValue.
	NumStoreValues = int(ValueTask) + 1
)

var storeValueNames = [NumStoreValues]string{"session", "route", "kick", "task"}

// String is the label value.
func (v StoreValue) String() string { return storeValueNames[clamp(v, NumStoreValues)] }

package protocol

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"math/big"
)

// defaultExponent is assumed where a private key file says 0.
const defaultExponent = 65537

// build makes a key of the parts and proves that it works.
func (p *privateParts) build(public *PublicKey) (*PrivateKey, error) {
	e, err := p.exponent(public)
	if err == nil {
		err = checkPublic(p.N, e)
	}
	if err == nil && (p.D.Sign() <= 0 || p.D.Cmp(p.N) >= 0) {
		err = errors.New("private exponent out of range")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: private key: %w", ErrBadKey, err)
	}
	if public != nil && p.N.Cmp(public.rsa.N) != 0 {
		return nil, fmt.Errorf("%w: the private key does not belong to the public key", ErrBadKey)
	}
	prime1, prime2 := p.P, p.Q
	if prime1.Sign() <= 0 || prime2.Sign() <= 0 {
		if prime1, prime2 = factor(p.N, big.NewInt(int64(e)), p.D); prime1 == nil {
			return nil, fmt.Errorf("%w: private and public exponent do not fit", ErrBadKey)
		}
	}
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: p.N, E: e}, D: p.D, Primes: []*big.Int{prime1, prime2},
	}
	return prove(key)
}

// exponent finds the public exponent in the private key, in the public one, or
// assumes the usual one.
func (p *privateParts) exponent(public *PublicKey) (int, error) {
	switch {
	case p.E.Sign() == 0 && public != nil:
		return public.rsa.E, nil
	case p.E.Sign() == 0:
		return defaultExponent, nil
	case !p.E.IsInt64() || p.E.Int64() > math.MaxInt32:
		return 0, errors.New("public exponent over 31 bits")
	case public != nil && p.E.Int64() != int64(public.rsa.E):
		return 0, errors.New("its exponent is not that of the public key")
	default:
		return int(p.E.Int64()), nil
	}
}

// checkPublic refuses public keys that the standard library would refuse later,
// and those that cost too much.
func checkPublic(n *big.Int, e int) error {
	switch bits := n.BitLen(); {
	case n.Sign() <= 0 || bits < minKeyBits || bits > maxKeyBits:
		return fmt.Errorf("modulus of %d bits: want %d to %d", bits, minKeyBits, maxKeyBits)
	case n.Bit(0) == 0:
		return errors.New("modulus is even")
	case e < 3 || e&1 == 0 || e > math.MaxInt32:
		return fmt.Errorf("public exponent %d", e)
	default:
		return nil
	}
}

// factor finds the two primes of n with the help of d (NIST SP 800-56B, appendix
// C): e*d-1 is a multiple of the order of every base, so that a square root of 1
// other than 1 and -1 turns up for at least half of the bases. It returns nil if
// 100 bases did not do it, which means that d does not belong to e and n.
func factor(n, e, d *big.Int) (p, q *big.Int) {
	one := big.NewInt(1)
	odd := new(big.Int).Mul(e, d)
	odd.Sub(odd, one)
	if odd.Sign() <= 0 {
		return nil, nil
	}
	twos := odd.TrailingZeroBits()
	odd.Rsh(odd, twos)
	last := new(big.Int).Sub(n, one)
	for base := int64(2); base < 102; base++ {
		x := new(big.Int).Exp(big.NewInt(base), odd, n)
		for range twos {
			root := new(big.Int).Set(x)
			x.Mul(x, x).Mod(x, n)
			if x.Cmp(one) == 0 && root.Cmp(one) != 0 && root.Cmp(last) != 0 {
				p = new(big.Int).GCD(nil, nil, root.Sub(root, one), n)
				return p, new(big.Int).Quo(n, p)
			}
		}
		if x.Cmp(one) != 0 {
			return nil, nil // the order of base does not divide e*d-1
		}
	}
	return nil, nil
}

// prove lets the standard library check and precompute the key, then decrypts
// what the public half encrypted.
func prove(key *rsa.PrivateKey) (*PrivateKey, error) {
	if err := key.Validate(); err != nil {
		return nil, fmt.Errorf("%w: private key: its numbers do not fit", ErrBadKey)
	}
	key.Precompute()
	k := &PrivateKey{key}
	const probe = "fanfare"
	sealed, err := k.Public().AppendEncrypt(nil, []byte(probe))
	if err != nil {
		return nil, fmt.Errorf("%w: private key: %w", ErrBadKey, err)
	}
	plain, err := k.AppendDecrypt(nil, sealed)
	if err != nil || !bytes.Equal(plain, []byte(probe)) {
		return nil, fmt.Errorf("%w: private key does not decrypt what its public key encrypts", ErrBadKey)
	}
	return k, nil
}

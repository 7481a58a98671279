// Package backing starts the real servers that tests talk to: Redis and ZooKeeper
// as processes of their own, on free loopback ports, with a directory that goes
// away with the test. It is for tests alone.
//
// A program that is not installed fails the test with the name of its Debian
// package, unless the environment variable FANFARE_TEST_WITHOUT (a comma separated
// list of redis and zookeeper) says that the test may be left out.
package backing

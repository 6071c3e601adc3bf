// The same for tests that speak the control protocol.
#include "tests.hpp"

#include <capnp/rpc-twoparty.h>
#include <kj/async-unix.h>

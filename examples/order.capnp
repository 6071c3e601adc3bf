@0xb62f4d0a917c58e3;
# What typed.cpp publishes.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("shop");

struct Order {
  table @0 :UInt32;
  item @1 :Text;
}

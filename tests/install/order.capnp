@0xe7c1b8a95d3f2046;

struct Order {
  table @0 :UInt32;
  item @1 :Text;
}

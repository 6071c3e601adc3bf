@0xc1d3a7f2b5e94d68;
# The control protocol of shmbus: what a client and shmbusd say to each other.
#
# Transport: Cap'n Proto RPC over a Unix stream socket; descriptors travel beside the capabilities
# that stand for them (SCM_RIGHTS, at most 4 a message); from a client with `restore` alone, and of memory alone:
# who sends others is cut off. Events never travel here: the data plane is the shared memory that this protocol hands
# out.
#
# Messages of the RPC system that a client sends: Bootstrap, Call, Finish, Release, Abort. With any other, which only
# capabilities of its own would give it a reason for, it is cut off.
#
# Who: the daemon takes the peer's pid, uid and groups from the socket (SO_PEERCRED, SO_PEERGROUPS)
# when it accepts, never from a message. A peer that the bus's policy does not know gets a refusal
# of `hello`; without a successful hello nothing else can be called, because everything else is a
# method of the Session that it returns.
#
# Refusals are values, not exceptions: every result has a `refusal`, null when the call did what it
# says. An RPC exception means a broken promise: a bug, or a daemon that is going away.
#
# Bounds: a message has at most 64 KiB; a name 128 bytes. A session has at most 8 drains under way
# (more are refused with `limit`), a connection at most 256 calls whose end it has not acknowledged
# with a Finish (with more it is cut off), a user 256 sessions and a bus 1,024 beside root's. From a
# peer that leaves 64 answers or 256 KiB of them unread the daemon reads no more until it reads.
# Every call ends in bounded time; the only one that waits is `drainTopic`, up to its own deadline.
#
# Versions: `hello` carries the protocol's major.minor. Another major is refused with
# `incompatible`; an unknown minor is fine, as fields are only ever added.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("shmbus::protocol");

const protocolMajor :UInt16 = 1;
const protocolMinor :UInt16 = 0;

struct Refusal {
  code @0 :UInt16;     # shmbus::Errc
  message @1 :Text;    # what, and what to do about it
}

interface Bus {
  # What a fresh connection sees.
  hello @0 (protocolMajor :UInt16, protocolMinor :UInt16, client :Text, ticket :UInt64)
      -> (session :Session, server :Text, ticket :UInt64, resumed :Bool, thread :Memory,
          refusal :Refusal);
  # `client` and `server` are versions for logs. At most one session a connection: a second hello
  # is refused with `busy`. A client that comes back sends the ticket that it was given: if its session
  # is still there (`resumed`), with what it holds, it goes on; else it has a new one, with a new ticket.
  # `thread` is a page with a robust futex (base/robust.hpp) for the client to hold in a thread that lives as
  # long as the connection: when that ends without letting go of it, what the client's publishers have
  # begun is given up at once. Its process's pidfd says so much later if it is a large one.
}

interface Session {
  # One client process. It ends when the process has died (pidfd) and not before, unless everything
  # it held was released: a connection that breaks while the process lives leaves its publishers'
  # and subscribers' entries in place, since it may still be writing to the memory they name.
  #
  # What it holds are leases: numbers, which mean something in this session alone.

  createTopic @0 (name :Text, options :TopicOptions, ifMissing :Bool)
      -> (created :Bool, refusal :Refusal);
  # Who: everyone whom the policy lets create. With ifMissing an existing topic of the same options
  # is fine (created = false); of other options: `differentOptions`, the message names each.
  # Without: `topicExists`.

  listTopics @1 (after :Text, limit :UInt32) -> (topics :List(TopicInfo), more :Bool, refusal :Refusal);
  # In the order of names, those behind `after`, at most `limit` and at most 64 a call, without peers
  # (their lists are empty, the counts are set) and directories.

  describeTopic @2 (name :Text) -> (topic :TopicInfo, refusal :Refusal);

  removeTopic @3 (name :Text, force :Bool) -> (refusal :Refusal);
  # Who: the creator, root, group shmbus-admin. With publishers or subscribers: `busy`, naming them;
  # forced: the ring is marked removed, publishers get `closed`, subscribers drain what they mapped.

  drainTopic @4 (name :Text, undo :Bool, timeoutMs :UInt32) -> (drained :Bool, refusal :Refusal);
  # Who: as removeTopic. From now on publishers get `closed`; answers when every gating subscriber
  # has acknowledged all, or with drained = false after timeoutMs (at most 10 minutes; a client that
  # wants to wait longer asks again). undo opens the topic again, at once.

  openPublisher @5 (topic :Text, exclusive :Bool, name :Text)
      -> (lease :UInt64, access :TopicAccess, entry :UInt32, publisher :UInt32,
          lastEventId :UInt64, refusal :Refusal);
  # An entry in the publisher table, `entry` its index, `publisher` its id, until release or death.
  # An exclusive one is the topic's only one: with others, or beside it, `busy`, naming the holders.
  # With a name (topics on disk): the publisher of that name, made if there is none, whose id stays the same
  # for ever. It has one holder at a time: `busy`, naming it. `lastEventId` is the largest event id that the
  # topic has, or had, of it; the answer waits until that event is in a file, a second at most.

  openSubscriber @6 (topic :Text, name :Text, steal :Bool, group :GroupOptions)
      -> (lease :UInt64, access :TopicAccess, entry :UInt32, token :UInt64,
          cursor :Memory, acknowledged :UInt64, begun :Bool, refusal :Refusal);
  # An entry in the readers object and an attach token that was never used for it before. The
  # subscriber itself chooses where it starts, by the join protocol in shared memory.
  # With a name: the durable subscription of that name, made if there is none. It has one holder at a
  # time: `busy`, naming it, unless `steal`, which ends the other's hold. Who: its creator, or, when nobody had
  # received from it, whoever holds it first; and who may administer the topic. `cursor` is a page for this
  # holder alone (layout/cursor.hpp); `acknowledged` is where the one before came to, if it has `begun`.
  # With `group`: a member of the group of that name, made with these options if there is none. `cursor` is the
  # group's memory (layout/group.hpp). One that has not begun begins with beginGroup. A name that is no group's, or
  # a group's name without `group`: `differentOptions`.

  listSubscriptions @7 (topic :Text, after :Text, limit :UInt32)
      -> (subscriptions :List(SubscriptionInfo), more :Bool, refusal :Refusal);
  # The durable ones, as listTopics; fewer where their groups have many members.

  createSubscription @8 (topic :Text, name :Text, group :GroupOptions) -> (refusal :Refusal);
  # If there is one: `subscriptionExists`. It begins where its first holder, or member, likes.

  seekSubscription @9 (topic :Text, name :Text, cursor :UInt64) -> (refusal :Refusal);
  # Goes on behind `cursor`. While somebody holds it: `busy`. Who: its creator, and who may administer
  # the topic.

  pauseSubscription @10 (topic :Text, name :Text, paused :Bool) -> (refusal :Refusal);
  # Its holder, now or later, receives nothing until this is undone. Who: as seekSubscription.

  removeSubscription @11 (topic :Text, name :Text, force :Bool) -> (refusal :Refusal);
  # While somebody holds it: `busy`; forced, that ends. Who: as seekSubscription.

  release @12 (lease :UInt64) -> ();
  # The client promises that it will not touch the memory through this entry again.

  keep @13 (leases :List(UInt64)) -> (unknown :List(UInt64));
  # All that a client that resumed its session still holds: what is missing here is released. It may have
  # let go of something that the daemon did not hear of, and not have heard of what it was given. Those that
  # are `unknown` the daemon has lost: they are to be handed back.

  openSegment @14 (lease :UInt64, from :UInt64, byTime :Bool) -> (segment :Segment, refusal :Refusal);
  # For a subscriber of a topic on disk a file of it, for reading: the one with sequence `from`, or the
  # oldest one if that is gone, which then begins behind it. By time: the one in which the first event of
  # time `from` (ns since 1970) or later is to be looked for. Null: nothing at or behind `from` is in a
  # file yet. Before there is any file: one without an event, `end` = `first`, where the first will begin.

  persist @15 (lease :UInt64) -> (refusal :Refusal);
  # What the holder of a durable subscription has noted in its page is on disk when this is answered.

  restore @16 (mapped :Mapped) -> (lease :UInt64, refusal :Refusal);
  # The daemon that gave a lease was killed, and nobody kept what it had: the client hands the memory back,
  # one call for each lease, before it asks for anything else. If the topic goes on with it, the lease does.
  # Else the ring is marked removed, for all who map it. Who may not publish to the topic is answered when somebody
  # who may has handed it back, or nobody is waited for any more.

  listIncidents @17 (topic :Text, after :UInt64, limit :UInt32)
      -> (incidents :List(Incident), more :Bool, refusal :Refusal);
  # What has happened to a topic (shmbus/incident.hpp): in the order of their numbers, those behind number
  # `after`, at most `limit` and at most 64 a call.

  beginGroup @18 (lease :UInt64, at :UInt64) -> (acknowledged :UInt64, refusal :Refusal);
  # By a member: if the group has not begun, it begins with event `at`, or the next event if that is still to come.
  # `acknowledged` is up to where it has come.
}

struct TopicAccess {
  # What a client needs to map a topic, and to check that what it maps is that topic.
  uuid @0 :Data;                # 16 bytes
  parameters @1 :Data;          # layout::RingParameters, byte for byte
  ring @2 :Memory;              # publishers: for writing; subscribers: opened read-only
  readers @3 :Memory;           # publishers: opened read-only; subscribers: for writing
  trusted @4 :Bool;             # nobody but root and this session's user may publish to the topic
}

interface Memory {
  # Stands for a descriptor (Capability::Client::getFd). It has no methods.
}

struct Mapped {
  topic @0 :Text;
  uuid @1 :Data;
  publishes @2 :Bool;
  exclusive @3 :Bool;
  entry @4 :UInt32;
  mark @5 :UInt64;       # the publisher's id, or the subscriber's token
  name @6 :Text;         # of the publisher, or the durable subscription
  ring @7 :Memory;       # opened in any way
  readers @8 :Memory;
  cursor @9 :Memory;     # of a durable subscription
}

struct SubscriptionInfo {
  name @0 :Text;
  cursor @1 :UInt64;
  begun @2 :Bool;
  paused @3 :Bool;
  createdNs @4 :UInt64;         # since 1970
  creatorUid @5 :UInt32;
  holder @6 :Peer;              # null: nobody
  group @7 :GroupInfo;          # null: it is none
}

struct GroupOptions {
  ackWaitMs @0 :UInt32;
  maxDeliver @1 :UInt32;
  maxInFlight @2 :UInt32;
  order @3 :UInt8;              # shmbus::Order
  backOffMs @4 :List(UInt32);
}

struct GroupInfo {
  options @0 :GroupOptions;
  members @1 :List(Member);
  inFlight @2 :UInt32;
  waiting @3 :UInt32;
  redelivered @4 :UInt64;
  setAside @5 :UInt64;
}

struct Member {
  peer @0 :Peer;
  slots @1 :UInt32;
  inFlight @2 :UInt32;
  position @3 :UInt64;
  stalled @4 :Bool;
}

struct Segment {
  first @0 :UInt64;      # its first sequence
  end @1 :UInt64;        # behind its last sequence, or behind what is in the file by now
  bytes @2 :UInt64;      # so much of it is there to be looked at; the file may grow or shrink beyond
  durable @3 :UInt64;    # what is missing up to here is damage
  file @4 :Memory;       # opened read-only; null, and no bytes: it cannot be read
}

struct TopicOptions {
  full @0 :UInt8;               # shmbus::FullPolicy
  capacity @1 :UInt32;
  slotBytes @2 :UInt32;
  maxEvent @3 :UInt64;
  poolBytes @4 :UInt64;
  evictAfterMs @5 :UInt32;
  holdTimeoutMs @6 :UInt32;
  retention @7 :UInt8;          # shmbus::Retention
  sync @8 :UInt8;               # shmbus::Sync
  syncIntervalMs @9 :UInt32;
  keepBytes @10 :UInt64;
  keepAgeMs @11 :UInt64;
  keepEvents @12 :UInt64;
  hold @13 :Bool;
}

struct Peer {
  pid @0 :UInt32;
  uid @1 :UInt32;
  command @2 :Text;
  cursor @3 :UInt64;
  lossy @4 :Bool;
  waitsForPid @5 :UInt32;
}

struct TopicInfo {
  name @0 :Text;
  uuid @1 :Data;
  options @2 :TopicOptions;
  first @3 :UInt64;
  head @4 :UInt64;
  publishers @5 :List(Peer);
  subscribers @6 :List(Peer);
  memoryBytes @7 :UInt64;
  creatorUid @8 :UInt32;
  draining @9 :Bool;
  publisherCount @10 :UInt32;
  subscriberCount @11 :UInt32;
  exclusive @12 :Bool;          # the publisher has the topic to itself
  written @13 :UInt64;          # topics on disk: survives the death of any process up to here
  durable @14 :UInt64;          # likewise: survives a power loss
  trouble @15 :Text;            # likewise: why the disk takes no events just now; empty: it does
  directory @16 :Text;          # likewise: where its files are; empty in a list, which has no room for it
}

struct Incident {
  number @0 :UInt64;
  timeNs @1 :UInt64;            # since 1970
  kind @2 :UInt16;              # shmbus::IncidentKind
  pid @3 :UInt32;
  uid @4 :UInt32;
  command @5 :Text;
  unit @6 :Text;
  name @7 :Text;
  first @8 :UInt64;
  last @9 :UInt64;
}

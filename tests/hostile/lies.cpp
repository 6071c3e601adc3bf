// The lies: what a client could be handed instead of a topic's memory.
#include "hostile/fake_daemon.hpp"

#include "base/mapping.hpp"
#include "base/memfd.hpp"
#include "ring/view.hpp"

#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <system_error>

namespace shmbus::test {

namespace {

constexpr auto damaged = Errc::damaged;
constexpr auto incompatible = Errc::incompatible;

layout::RingParameters honest_parameters() {
    layout::RingParameters parameters{};
    parameters.capacity = 16;
    parameters.slot_bytes = 128;
    parameters.max_event = 4'096;
    parameters.pool_bytes = 64U << 10U;
    parameters.first_sequence = 1;
    parameters.max_publishers = 8;
    parameters.max_readers = 64;
    parameters.evict_after_ms = 1'000;
    parameters.hold_timeout_ms = 1'000;
    return parameters;
}

std::uint64_t ring_size(const layout::RingParameters& parameters) {
    return layout::geometry_of(parameters).total_bytes;
}
std::uint64_t readers_size(const layout::RingParameters& parameters) {
    return layout::readers_geometry_of(parameters).total_bytes;
}

std::byte* map(const base::Fd& fd, std::uint64_t size) {
    void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (at == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    return static_cast<std::byte*>(at);
}

/// Memory of `size` with what `from` begins with, sealed with `seals`.
base::Fd copy_of(const std::byte* from, std::uint64_t from_size, std::uint64_t size, int seals) {
    base::Fd fd(::memfd_create("lie", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) std::abort();
    if (size != 0) std::memcpy(map(fd, size), from, std::min(from_size, size));
    if (::fcntl(fd.get(), F_ADD_SEALS, seals) != 0) std::abort();
    return fd;
}
constexpr int all_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

void copy_ring(Offer& offer, std::uint64_t size, int seals) {
    offer.ring = copy_of(offer.ring_bytes(), ring_size(offer.parameters), size, seals);
}
void copy_readers(Offer& offer, std::uint64_t size, int seals) {
    offer.readers = copy_of(offer.readers_bytes(), readers_size(offer.parameters), size, seals);
}

template <class T> void overwrite(std::byte* bytes, std::size_t offset, T value) {
    std::memcpy(bytes + offset, &value, sizeof value);
}

base::Fd opened(const char* path) { return base::Fd(::open(path, O_RDWR | O_CLOEXEC)); }

base::Fd socket_end() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    return base::Fd(fds[0]); // the other end stays open
}

using RingHeader = layout::RingHeader;
using ReadersHeader = layout::ReadersHeader;

std::vector<Lie> lies_about_descriptors() {
    return {
        {"ring-unsealed", {damaged}, [](Offer& o) { copy_ring(o, ring_size(o.parameters), 0); }},
        {"ring-may-shrink",
         {damaged},
         [](Offer& o) { copy_ring(o, ring_size(o.parameters), F_SEAL_GROW | F_SEAL_SEAL); }},
        {"ring-may-be-sealed",
         {damaged},
         [](Offer& o) { copy_ring(o, ring_size(o.parameters), F_SEAL_GROW | F_SEAL_SHRINK); }},
        {"ring-small", {damaged}, [](Offer& o) { copy_ring(o, 4'096, all_seals); }},
        {"ring-empty", {damaged}, [](Offer& o) { copy_ring(o, 0, all_seals); }},
        {"ring-large",
         {damaged},
         [](Offer& o) { copy_ring(o, ring_size(o.parameters) + 4'096, all_seals); }},
        {"ring-missing", {damaged}, [](Offer& o) { o.ring = {}; }},
        {"ring-is-zero-device", {damaged}, [](Offer& o) { o.ring = opened("/dev/zero"); }},
        {"ring-is-socket", {damaged}, [](Offer& o) { o.ring = socket_end(); }},
        {"ring-is-file", {damaged}, [](Offer& o) { o.ring = opened("/proc/self/comm"); }},
        {"readers-unsealed",
         {damaged},
         [](Offer& o) { copy_readers(o, readers_size(o.parameters), 0); }},
        {"readers-small", {damaged}, [](Offer& o) { copy_readers(o, 4'096, all_seals); }},
        {"readers-large",
         {damaged},
         [](Offer& o) { copy_readers(o, readers_size(o.parameters) + 4'096, all_seals); }},
        {"readers-missing", {damaged}, [](Offer& o) { o.readers = {}; }},
        {"readers-is-socket", {damaged}, [](Offer& o) { o.readers = socket_end(); }},
        {"swapped", {damaged}, [](Offer& o) { std::swap(o.ring, o.readers); }},
    };
}

std::vector<Lie> lies_about_content() {
    return {
        {"ring-magic", {damaged}, [](Offer& o) { overwrite(o.ring_bytes(), 0, 'X'); }},
        {"ring-version",
         {incompatible},
         [](Offer& o) {
             overwrite(o.ring_bytes(), offsetof(RingHeader, major), std::uint16_t{2});
         }},
        {"ring-size-field",
         {damaged},
         [](Offer& o) {
             overwrite(o.ring_bytes(), offsetof(RingHeader, total_bytes), std::uint64_t{1} << 40U);
         }},
        {"ring-of-another-topic",
         {damaged},
         [](Offer& o) { overwrite(o.ring_bytes(), offsetof(RingHeader, topic), 'X'); }},
        {"ring-other-capacity",
         {damaged},
         [](Offer& o) {
             overwrite(o.ring_bytes(), offsetof(RingHeader, parameters), std::uint32_t{1'024});
         }},
        {"readers-magic", {damaged}, [](Offer& o) { overwrite(o.readers_bytes(), 0, 'X'); }},
        {"readers-version",
         {incompatible},
         [](Offer& o) {
             overwrite(o.readers_bytes(), offsetof(ReadersHeader, major), std::uint16_t{2});
         }},
        {"readers-size-field",
         {damaged},
         [](Offer& o) {
             overwrite(o.readers_bytes(), offsetof(ReadersHeader, total_bytes), std::uint64_t{8});
         }},
        {"readers-of-another-topic",
         {damaged},
         [](Offer& o) { overwrite(o.readers_bytes(), offsetof(ReadersHeader, topic), 'X'); }},
        {"newer-minor",
         {},
         [](Offer& o) {
             overwrite(o.ring_bytes(), offsetof(RingHeader, minor), std::uint16_t{9});
             overwrite(o.readers_bytes(), offsetof(ReadersHeader, minor), std::uint16_t{9});
         }},
    };
}

std::vector<Lie> lies_in_the_answer() {
    return {
        {"uuid-short", {damaged}, [](Offer& o) { o.uuid_bytes = 15; }},
        {"uuid-none", {damaged}, [](Offer& o) { o.uuid_bytes = 0; }},
        {"uuid-other", {damaged}, [](Offer& o) { o.uuid[0] ^= 1U; }},
        {"parameters-short", {incompatible}, [](Offer& o) { --o.parameters_bytes; }},
        {"parameters-none", {incompatible}, [](Offer& o) { o.parameters_bytes = 0; }},
        {"capacity-zero", {damaged}, [](Offer& o) { o.parameters.capacity = 0; }},
        {"capacity-odd", {damaged}, [](Offer& o) { o.parameters.capacity = 3; }},
        {"capacity-huge", {damaged}, [](Offer& o) { o.parameters.capacity = 1U << 31U; }},
        {"capacity-other", {damaged}, [](Offer& o) { o.parameters.capacity *= 2; }},
        {"slot-zero", {damaged}, [](Offer& o) { o.parameters.slot_bytes = 0; }},
        {"slot-other", {damaged}, [](Offer& o) { o.parameters.slot_bytes *= 2; }},
        {"event-huge", {damaged}, [](Offer& o) { o.parameters.max_event = ~std::uint64_t{0}; }},
        {"pool-huge", {damaged}, [](Offer& o) { o.parameters.pool_bytes = ~std::uint64_t{0}; }},
        {"pool-other", {damaged}, [](Offer& o) { o.parameters.pool_bytes *= 2; }},
        {"first-zero", {damaged}, [](Offer& o) { o.parameters.first_sequence = 0; }},
        {"readers-zero", {damaged}, [](Offer& o) { o.parameters.max_readers = 0; }},
        {"readers-other", {damaged}, [](Offer& o) { o.parameters.max_readers = 128; }},
        {"publishers-zero", {damaged}, [](Offer& o) { o.parameters.max_publishers = 0; }},
        {"policy-unknown", {damaged}, [](Offer& o) { o.parameters.full_policy = 200; }},
        {"gate-unknown", {damaged}, [](Offer& o) { o.parameters.gate = 200; }},
        {"entry-beyond",
         {damaged},
         [](Offer& o) {
             o.entry = o.publishes ? o.parameters.max_publishers : o.parameters.max_readers;
         }},
        {"entry-huge", {damaged}, [](Offer& o) { o.entry = ~std::uint32_t{0}; }},
        {"token-or-publisher-zero", {damaged}, [](Offer& o) { o.token = o.publisher = 0; }},
    };
}

} // namespace

std::byte* Offer::ring_bytes() const { return map(ring, ring_size(parameters)); }
std::byte* Offer::readers_bytes() const { return map(readers, readers_size(parameters)); }

Offer honest_offer(bool publishes) {
    Offer offer;
    offer.publishes = publishes;
    offer.parameters = honest_parameters();
    offer.uuid.fill(7);
    const auto ring = ring_size(offer.parameters);
    const auto readers = readers_size(offer.parameters);
    offer.ring = base::make_memfd("fake-ring", ring, ring);
    offer.readers = base::make_memfd("fake-readers", readers, readers);
    ring::format_ring({offer.ring_bytes(), ring}, offer.parameters, offer.uuid);
    ring::format_readers({offer.readers_bytes(), readers}, offer.parameters, offer.uuid);
    return offer;
}

const std::vector<Lie>& lies() {
    static const std::vector<Lie> all = [] {
        std::vector<Lie> together{{"honest", {}, {}}};
        for (auto* some : {lies_about_descriptors, lies_about_content, lies_in_the_answer})
            for (auto& lie : some()) together.push_back(std::move(lie));
        return together;
    }();
    return all;
}

} // namespace shmbus::test

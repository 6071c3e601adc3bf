// What some work is refused with.
#pragma once

#include "shmbus/error.hpp"

#include <gtest/gtest.h>
#include <string>

namespace shmbus::test {

struct Refusal {
    Errc code = {};
    std::string message;
};

template <class Work> Refusal refusal(Work work) {
    try {
        work();
    } catch (const Error& e) {
        return {e.code(), e.what()};
    }
    ADD_FAILURE() << "not refused";
    return {};
}

} // namespace shmbus::test

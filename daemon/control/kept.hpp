// Answers that wait until something is on disk.
#pragma once

#include "daemon/control/answering.hpp"
#include "daemon/store/cursor_keeper.hpp"

#include <kj/async.h>
#include <memory>

namespace shmbus::control {

/// As answer(), but `work(parameters, done)` hands `done` on to the keeper, which calls it on its own
/// thread; the request is answered then.
template <class Context, class Work>
kj::Promise<void> answer_when_kept(Context& context, const char* request, Work work) {
    struct Outcome {
        std::string problem;
        kj::Own<kj::CrossThreadPromiseFulfiller<void>> kept;
    };
    auto kept = kj::newPromiseAndCrossThreadFulfiller<void>();
    const auto outcome = std::make_shared<Outcome>(Outcome{{}, kj::mv(kept.fulfiller)});
    bool refused = true;
    auto refusal = answer(context, request, [&](auto parameters, auto) {
        work(parameters, [outcome](const std::string& problem) {
            outcome->problem = problem;
            outcome->kept->fulfill();
        });
        refused = false;
    });
    if (refused) return refusal;
    context.allowCancellation();
    return kept.promise.then([context, request, outcome]() mutable {
        return answer(context, request, [&](auto, auto) {
            if (!outcome->problem.empty())
                throw Error(Errc::system, "it is not on disk: " + outcome->problem);
        });
    });
}

} // namespace shmbus::control

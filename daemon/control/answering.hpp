// From what a request's work throws to what its answer says.
#pragma once

#include "daemon/control/answers.hpp"
#include "daemon/system/log.hpp"

#include <fmt/format.h>
#include <kj/exception.h>
#include <new>

namespace shmbus::control {

/// Calls `work(parameters, results)`. An Error becomes the answer's refusal, and so does memory
/// that ran out. Everything else is a bug: logged here, an RPC exception for the client. A request
/// that makes no sense as Cap'n Proto (a kj exception) is the client's bug, and the client's to
/// hear of.
template <class Context, class Work>
kj::Promise<void> answer(Context& context, const char* request, Work work) {
    const auto refuse = [&](const Error& error) {
        write_refusal(error, context.initResults().initRefusal()); // without what work() left there
    };
    try {
        work(context.getParams(), context.getResults());
    } catch (const Error& e) {
        refuse(e);
    } catch (const std::bad_alloc&) {
        refuse(Error(Errc::limit, "the daemon is out of memory"));
    } catch (const kj::Exception&) {
        throw;
    } catch (const std::exception& e) {
        system::log(system::Level::error, fmt::format("{} failed: {}", request, e.what()));
        throw;
    }
    return kj::READY_NOW;
}

} // namespace shmbus::control

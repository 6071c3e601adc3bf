#include "tools/torture/truth.hpp"

namespace shmbus::tools::torture {

Verdict* Truth::at(Sequence sequence) {
    if (sequence < begin_) return nullptr;
    while (newest() < sequence) verdicts_.emplace_back();
    for (; verdicts_.size() > capacity; ++begin_) verdicts_.pop_front();
    return &verdicts_[sequence - begin_];
}

} // namespace shmbus::tools::torture

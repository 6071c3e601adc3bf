// Names of the units that are scaled.
#pragma once

#include <string>
#include <string_view>

namespace shmbus::tools::scale {

/// "order-processor@.service" and "order-processor@" as the latter. @throws Failure(usage) for what is no template
[[nodiscard]] std::string parse_template(std::string_view text);

/// "order-processor@", 2: "order-processor@2.service"
[[nodiscard]] std::string instance_of(const std::string& unit_template, unsigned number);

} // namespace shmbus::tools::scale

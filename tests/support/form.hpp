// What takes long has a short form and, when the program is started with --long, a full one.
#pragma once

namespace shmbus::test {

[[nodiscard]] bool long_form();

} // namespace shmbus::test

// What the shared library exports.
#pragma once

#define SHMBUS_API __attribute__((visibility("default")))

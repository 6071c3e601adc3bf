// Everything.
#pragma once

#include "shmbus/applied.hpp"
#include "shmbus/bus.hpp"
#include "shmbus/dead_letter.hpp"
#include "shmbus/error.hpp"
#include "shmbus/event.hpp"
#include "shmbus/group.hpp"
#include "shmbus/incident.hpp"
#include "shmbus/log.hpp"
#include "shmbus/publisher.hpp"
#include "shmbus/spill.hpp"
#include "shmbus/subscription.hpp"
#include "shmbus/types.hpp"
#include "shmbus/wait_set.hpp"

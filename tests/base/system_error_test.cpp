#include "base/system_error.hpp"

#include <cerrno>
#include <gtest/gtest.h>

namespace shmbus::base {
namespace {

Error thrown(int error) {
    try {
        throw_system("opening the test", error);
    } catch (const Error& e) {
        return e;
    }
}

TEST(SystemError, SaysWhatWasBeingDoneAndWhy) {
    const std::string what = thrown(ENOENT).what();
    EXPECT_NE(what.find("opening the test"), std::string::npos) << what;
    EXPECT_NE(what.find("No such file"), std::string::npos) << what;
}

TEST(SystemError, HasACodeForPrograms) {
    EXPECT_EQ(thrown(ENOMEM).code(), Errc::limit);
    EXPECT_EQ(thrown(ENOSPC).code(), Errc::limit);
    EXPECT_EQ(thrown(EMFILE).code(), Errc::limit);
    EXPECT_EQ(thrown(ENFILE).code(), Errc::limit);
    EXPECT_EQ(thrown(EPERM).code(), Errc::permission);
    EXPECT_EQ(thrown(EACCES).code(), Errc::permission);
    EXPECT_EQ(thrown(EIO).code(), Errc::system);
}

TEST(SystemError, NamesTheRemedyOfALimit) {
    EXPECT_NE(std::string(thrown(EMFILE).what()).find("LimitNOFILE"), std::string::npos);
}

TEST(SystemError, TakesTheCurrentErrno) {
    errno = EACCES;
    try {
        throw_system("x");
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::permission);
    }
}

} // namespace
} // namespace shmbus::base

// What can be typed: verbs, their options, and what is said of them by --help or when they are wrong.
//
// CLI11 does the work behind it. It takes many seconds to compile, so options.cpp alone includes it,
// and there is nothing here but what the verbs use. Options stand in the help in the order in which
// they were added, and are looked at in that order too.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
} // namespace CLI

namespace shmbus::tools {

/// What becomes of an option's text. Throws Failure or Error if it is no good; the message, with the option's
/// name before it, is then what is wrong with the command line.
using Take = std::function<void(const std::string& text)>;
/// The same for all the texts of an option that may come again and again.
using TakeAll = std::function<void(const std::vector<std::string>& texts)>;

/// An option of a verb, or an argument that has its meaning by its position. A handle: good as long as
/// the CommandLine.
class Option {
  public:
    /// How the help calls its text: "DURATION".
    Option type(const std::string& name) const;
    Option required() const;
    /// Who gives both is refused.
    Option excludes(Option other) const;
    /// Who gives this one has to give the other one too.
    Option needs(Option other) const;
    /// Looks at each text, before any of them is taken.
    Option check(Take check) const;
    /// One of these words and nothing else.
    Option one_of(const std::vector<std::string>& words) const;

  private:
    friend class Verb;
    explicit Option(CLI::Option* option) noexcept : option_(option) {}
    CLI::Option* option_;
};

/// A verb, which may have verbs of its own; or the program itself. A handle, like Option.
///
/// A name with dashes is an option's, "--from"; one without is an argument's, "TOPIC". The variables
/// must live until the line was parsed.
class Verb {
  public:
    Verb add_verb(const std::string& name, const std::string& help) const;
    /// Another name for it.
    void alias(const std::string& name) const;
    /// Not in the help, and nothing that anybody might have meant: the program calls itself so.
    void hide() const;
    /// It does nothing itself: one of its verbs must follow.
    void require_verb() const;

    Option add(const std::string& name, std::string& target, const std::string& help) const;
    /// One argument, or as many as there are.
    Option add(const std::string& name, std::vector<std::string>& target,
               const std::string& help) const;
    Option add(const std::string& name, Take take, const std::string& help) const;
    /// An option that may come again and again, with one text each time.
    Option add_repeated(const std::string& name, TakeAll take, const std::string& help) const;
    Option add_flag(const std::string& name, bool& target, const std::string& help) const;
    Option add_flag(const std::string& name, std::function<void()> set,
                    const std::string& help) const;
    /// Prints this and exits.
    void add_version(const std::string& name, const std::string& text,
                     const std::string& help) const;

    /// An option whose text goes through a parser that throws Failure.
    template <class T, class Parse>
    Option add_parsed(const std::string& name, T& target, Parse parse, const std::string& type,
                      const std::string& help) const {
        const auto take = [&target, parse](const std::string& text) { target = parse(text); };
        return add(name, take, help).type(type);
    }

    /// An option of the contract that this version cannot honour: not in the help, and refused with
    /// the reason.
    void add_unavailable_option(const std::string& name, const std::string& reason) const;
    void add_unavailable_flag(const std::string& name, const std::string& reason) const;

    /// What the help of this verb ends with, examples mostly.
    void footer(const std::string& text) const;
    /// Called when it is the verb that was typed, and nothing is wrong with its options. May throw
    /// anything.
    void callback(std::function<void()> parsed) const;

  private:
    friend class CommandLine;
    explicit Verb(CLI::App* app) noexcept : app_(app) {}
    CLI::App* app_;
};

/// The program's name, and all that may follow it. Options of the program may stand behind its verbs.
class CommandLine {
  public:
    CommandLine(const std::string& name, const std::string& help);
    ~CommandLine();
    CommandLine(const CommandLine&) = delete;
    CommandLine& operator=(const CommandLine&) = delete;

    /// The program, as a verb that need not have another one behind it.
    [[nodiscard]] Verb root() const noexcept { return Verb(root_.get()); }

    /// Sets the variables and calls the verb's callback, and returns nothing; or returns what the user
    /// asked to be told instead, with --help or --version, ready to be printed.
    /// @throws Failure(usage), in words for the user; whatever the callback throws
    [[nodiscard]] std::optional<std::string> parse(int argc, const char* const* argv);

  private:
    std::unique_ptr<CLI::App> root_;
};

} // namespace shmbus::tools

-- output.lua: Busted's output for scripts/test. One line per spec file, the failures in full below it,
-- and the totals in the file that MASCON_TEST_TOTALS names ("passed failed skipped").

local busted = require "busted"
local write = io.write

local function text_of(message)
  if type(message) == "string" then return message end
  if message == nil then return "(no message)" end
  return require("pl.pretty").write(message)
end

return function()
  local handler = require "busted.outputHandlers.base"()
  local before, started, current, printed

  local function counts()
    return {
      passed = handler.successesCount,
      failed = handler.failuresCount + handler.errorsCount,
      skipped = handler.pendingsCount,
    }
  end

  -- Prints what list gained since the last call.
  local function show(list, from)
    for i = from + 1, #list do
      local failure = list[i]
      local trace = failure.element and failure.element.trace or {}
      write("  not ok: ", failure.name, "\n")
      if trace.short_src then write("    ", trace.short_src, ":", trace.currentline, "\n") end
      write("    ", (text_of(failure.message):gsub("\n", "\n    ")), "\n")
      local traceback = failure.isError and failure.trace and failure.trace.traceback
      if traceback then write("    ", (traceback:gsub("^\n", ""):gsub("\n", "\n    ")), "\n") end
    end
    return #list
  end

  local function show_new()
    printed.failures = show(handler.failures, printed.failures)
    printed.errors = show(handler.errors, printed.errors)
  end

  function handler.suite_start()
    printed = { failures = 0, errors = 0 }
    return nil, true
  end

  function handler.file_start(file)
    before, started, current = counts(), require("system").monotime(), file.name
    return nil, true
  end

  function handler.file_end()
    local now = counts()
    local line = ("%-44s %5d ok"):format(current:gsub("^%./", ""), now.passed - before.passed)
    if now.failed > before.failed then line = line .. (", %d NOT OK"):format(now.failed - before.failed) end
    if now.skipped > before.skipped then line = line .. (", %d skipped"):format(now.skipped - before.skipped) end
    write(line, ("  (%.1f s)\n"):format(require("system").monotime() - started))
    show_new()
    io.flush()
    return nil, true
  end

  -- What Busted keeps of each test that passed (5 KB) is let go: specs that count live objects collect
  -- all garbage thousands of times, and such a collection takes as long as the heap is large.
  function handler.test_end(element, _, status)
    if status == "success" then
      element.env, element.trace, element.run = nil, nil, nil
      handler.successes = {}
    end
    return nil, true
  end

  function handler.suite_end()
    show_new()
    local now, path = counts(), os.getenv "MASCON_TEST_TOTALS"
    if path then
      local file = assert(io.open(path, "w"))
      file:write(now.passed, " ", now.failed, " ", now.skipped, "\n")
      file:close()
    end
    io.flush()
    return nil, true
  end

  busted.subscribe({ "suite", "start" }, handler.suite_start)
  busted.subscribe({ "file", "start" }, handler.file_start)
  busted.subscribe({ "file", "end" }, handler.file_end)
  busted.subscribe({ "test", "end" }, handler.test_end, { priority = 100 })
  busted.subscribe({ "suite", "end" }, handler.suite_end)
  return handler
end

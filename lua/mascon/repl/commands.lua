--- The commands of the session: lines that begin with a colon.

local chunk = require "mascon.repl.chunk"
local layer = require "mascon.ffi"
local style = require "mascon.repl.style"

local M = {}

--- name -> {argument, summary, run(session, text)}
local commands = {}
M.commands = commands

--- The order of :help.
M.order = { "help", "time", "profile", "memory", "show", "load", "traceback", "quit" }

local function say(text)
  io.write(text, "\n")
end

local function megabytes(n)
  return ("%.1f MB"):format(n / 1e6)
end

--- The expression as a function, or nil after a message.
local function expression(name, text)
  if text == "" then
    return say((":%s needs %s"):format(name, commands[name][1]))
  end
  local f, message = chunk.compile(text)
  if not f then
    say(require("mascon.repl.errors").text(message))
  end
  return f
end

commands.help = { "", "this list", function()
  say(style.paint("head", "An expression is evaluated and printed; _ is the last value.")
    .. " A statement is run; unfinished text goes on in the next line.")
  say "mascon, nn, optim, F (nn.functional), T (transforms), data, datasets, metrics, plot, image and models are there."
  say ""
  local rows = { { "?name", "documentation: ?nn.Conv2d, ?conv2d; ?conv searches; also help(nn.Conv2d)" } }
  for _, name in ipairs(M.order) do
    local row = commands[name]
    rows[#rows + 1] = { ":" .. name .. (row[1] ~= "" and " " .. row[1] or ""), row[2] }
  end
  for _, row in ipairs(rows) do
    say(("  %-20s %s"):format(row[1], row[2]))
  end
  say ""
  say "TAB completes names, fields, methods, options and file names. Ctrl-C stops a computation, Ctrl-D leaves."
end }

commands.time = { "expression", "how long it takes, and its value", function(session, text)
  local f = expression("time", text)
  if not f then
    return
  end
  local begun
  local function timed()
    begun = layer.now()
    return f()
  end
  session.evaluate(timed, function()
    local seconds = layer.now() - begun
    local unit = seconds < 1e-3 and ("%.1f us"):format(seconds * 1e6)
      or seconds < 1 and ("%.2f ms"):format(seconds * 1e3) or ("%.3f s"):format(seconds)
    say(style.paint("dim", "time: " .. unit))
  end)
end }

commands.profile = { "expression", "where its time goes, by operation", function(session, text)
  local f = expression("profile", text)
  if f then
    session.call(function()
      say(tostring(require("mascon.profile").profile(f)))
    end)
  end
end }

commands.memory = { "", "what tensors and Lua hold", function(session)
  session.call(function()
    local m = require("mascon.memory").memory()
    say(("tensors  %d, %s; cached for reuse %s; most so far %s"):format(m.tensors, megabytes(m.live),
      megabytes(m.cached), megabytes(m.peak)))
    say(("Lua      %s"):format(megabytes(collectgarbage "count" * 1024)))
    say(("machine  %s free of %s"):format(megabytes(m.free), megabytes(m.total)))
  end)
end }

commands.show = { "picture", "a picture {C, H, W} or a figure, drawn in the terminal", function(session, text)
  local f = expression("show", text)
  if f then
    session.call(function()
      say(require("mascon.repl.picture").text(f(), session.terminal))
    end)
  end
end }

commands.load = { "file", "runs a Lua file as if it were typed here (its globals stay)", function(session, text)
  if text == "" then
    return say ":load needs a file"
  end
  local path = text:match '^"(.*)"$' or text:match "^'(.*)'$" or text
  if path:sub(1, 2) == "~/" then
    path = (os.getenv "HOME" or "~") .. path:sub(2)
  end
  local f, message = chunk.file(path)
  if not f then
    return say(require("mascon.repl.errors").text(message))
  end
  session.call(f)
end }

commands.traceback = { "", "the calls that led to the last error", function(session)
  local text = session.traceback
  if not text then
    return say "there was no error"
  end
  say(text ~= "" and text:gsub("^\n", "") or "the error arose outside of any function of yours")
end }

commands.quit = { "", "leaves (Ctrl-D too)", function(session)
  session.ended = true
end }

--- Runs a line that begins with a colon. A beginning of a name does where it is the only one.
---@param session table
---@param line string
function M.run(session, line)
  local name, text = line:match "^%s*:%s*([%a]*)%s*(.-)%s*$"
  local command = commands[name]
  if not command then
    local found = {}
    for _, full in ipairs(M.order) do
      if name ~= "" and full:sub(1, #name) == name then
        found[#found + 1] = full
      end
    end
    command = #found == 1 and commands[found[1]]
  end
  if not command then
    return say((":%s is no command; :help lists them"):format(name))
  end
  if command[1] == "" and text ~= "" then
    if command == commands.help then -- ":help nn.Conv2d" can only mean one thing
      return session.ask(text)
    end
    return say((":%s takes nothing after it"):format(name))
  end
  command[3](session, text)
end

return M

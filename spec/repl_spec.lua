--- The interactive session at a pseudo-terminal: typing, completion, Ctrl-C, history, several lines, help,
-- errors, pictures; and what help and completion know without one.

local mascon = require "mascon"
local help = require "mascon.help"
local layer = require "mascon.ffi"
local docs = require "mascon.docs"

local player = require "spec.support.session"
local write = require("spec.support.shell").temporary

local program, play = player.program, player.play

local function remove(...)
  for _, path in ipairs { ... } do
    os.remove(path)
  end
end

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
end

--- Runs lines in a session without a terminal.
local function session(lines, options)
  local path = write(lines)
  local pipe = assert(io.popen(("MASCON_HISTORY= %s %s -i < %s 2>&1"):format(program, options or "", path)))
  local text = pipe:read "*a"
  pipe:close()
  remove(path)
  return text
end

local describe_terminal = player.has_pty and describe or pending

describe_terminal("the session at a terminal", function()
  it("prints values, keeps variables and the last value, and leaves at Ctrl-D", function()
    local text, times, status = play [[
prompt
type 1 + 1\n
expect 2
prompt
type _ * 21\n
expect 42
prompt
type local x = mascon.ones{2, 3}\n
prompt
type x:sum()\n
expect tensor(6., float32 {} cpu)
prompt
type ^D
]]
    assert.equal(0, status, text)
    has(text, "mascon 0.")
    assert.equal(1, select(2, text:gsub("Ctrl%-D leaves", "")))
    for _ = 1, 8 do -- the best of some starts, since others may be using the machine
      if times[1] >= 50 then
        times = select(2, play "prompt\ntype :quit\\n\n")
      end
    end
    assert.is_true(times[1] < 50 or os.getenv "LD_PRELOAD" ~= nil, "ready after " .. times[1] .. " ms")
  end)

  it("goes on in the next line until the chunk is complete", function()
    local text, _, status = play [[
prompt
type function twice(v)\n
more
type return 2 * v\n
more
type end\n
prompt
type twice(4)\n
expect 8
prompt
type twice(\n
more
type 5)\n
expect 10
prompt
type {1,\n
more
type ^C
prompt
type 'still here'\n
expect "still here"
type :quit\n
]]
    assert.equal(0, status, text)
  end)

  it("completes names, methods, options and file names", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder .. " && touch " .. folder .. "/weights.pth")
    local steps = [[
prompt
type masc\t
expect on
type .zer\t
expect os
type \t
expect zeros_like
type {2}:me\t()\n
expect {} cpu
prompt
type nn.Conv2d(3, 8, {ker\t
expect nel_size =
type 3})\n
expect Conv2d(3, 8
prompt
type #'FOLDER/wei\t
expect ghts.pth'
type \n
prompt
type ^D
]]
    local text, times, status = play((steps:gsub("FOLDER", folder)))
    os.execute("rm -r " .. folder)
    assert.equal(0, status, text)
    for _, i in ipairs { 2, 3, 4, 7, 10 } do -- where TAB was pressed
      assert.is_true(times[i] < 100, "completed after " .. times[i] .. " ms")
    end
  end)

  it("stops at Ctrl-C within half a second, with all variables alive", function()
    local text, times, status = play [[
prompt
type kept = 123; x = mascon.ones{1000}\n
prompt
type while true do end\n
pause 200
type ^C
expect interrupted
prompt
type while true do x = x * 1 end\n
pause 200
type ^C
expect interrupted
prompt
type function spin() local i = 0 while true do i = i + 1 end end spin()\n
pause 200
type ^C
expect interrupted
prompt
type coroutine.wrap(function() while true do end end)()\n
pause 200
type ^C
expect interrupted
prompt
type while true do pcall(function() while true do end end) end\n
pause 200
type ^C
pause 100
type ^C
expect interrupted
prompt
type mascon.no_grad(function() while true do end end)\n
pause 200
type ^C
expect interrupted
prompt
type mascon.is_grad_enabled()\n
expect true
prompt
type kept\n
expect 123
type x:numel()\n
expect 1000
type ^C
prompt
type ^D
]]
    assert.equal(0, status, text)
    for _, i in ipairs { 3, 5, 7, 9, 11, 13 } do
      assert.is_true(times[i] < 500, "stopped after " .. times[i] .. " ms")
    end
  end)

  it("stops inside one large operation", function()
    local steps = [[
prompt
type m = mascon.rand{6000, 6000}; w = m[{{1, 1000}, {1, 1000}}]:to("float64"); kept = m[1][1]:item()\n
prompt
type y = m:matmul(m)\n
pause 200
type ^C
expect interrupted
prompt
type y = w:matmul(w)\n
pause 200
type ^C
expect interrupted
prompt
type y = mascon.randn{20000, 10000}\n
pause 200
type ^C
expect interrupted
prompt
type y = m[{{1, 1000}}]:view(-1):sort()\n
pause 200
type ^C
expect interrupted
prompt
type y == nil and m[1][1]:item() == kept\n
expect true
prompt
type m[{{1, 100}}]:matmul(m).shape\n
expect {100, 6000}
prompt
type ^D
]]
    local slowest
    for _ = 1, 4 do -- others may be using the machine
      local text, times, status = play(steps)
      assert.equal(0, status, text)
      slowest = math.max(times[3], times[5], times[7], times[9])
      if slowest < 500 then
        break
      end
    end
    assert.is_true(slowest < 500 or os.getenv "LD_PRELOAD" ~= nil, "stopped after " .. slowest .. " ms")
  end)

  it("finishes an operation that changes a tensor in place", function()
    local text, _, status = play [[
prompt
type m = mascon.zeros{20000, 10000}\n
prompt
type for i = 1, 1000 do m:add_(1) end\n
pause 200
type ^C
expect interrupted
prompt
type m:min():item() == m:max():item()\n
expect true
prompt
type ^D
]]
    assert.equal(0, status, text)
  end)

  it("leaves no operation half done at Ctrl-C", function()
    local text, _, status = play [[
prompt
type m = mascon.rand{64, 64}\n
prompt
type while true do m:matmul(m):relu():sum({1}, {keepdim = true}) end\n
pause 150
type ^C
expect interrupted
prompt
type mascon.range(1, 3)\n
expect float32 {3}
prompt
type while true do mascon.scope(function() return nn.functional.relu(m + 1) end) end\n
pause 150
type ^C
expect interrupted
prompt
type mascon.range(1, 4)\n
expect float32 {4}
prompt
type ^D
]]
    assert.equal(0, status, text)
  end)

  it("keeps the history from one start to the next, for its owner alone", function()
    local state = os.tmpname()
    os.remove(state)
    local environment = ("NO_COLOR=1 XDG_STATE_HOME=%s/state"):format(state)
    local steps = "prompt\ntype answer = 6 * 7\\n\nprompt\ntype ^D\n"
    local text, _, status = play(steps, { environment = environment, history = false })
    assert.equal(0, status, text)
    local pipe = io.popen(("stat -c '%%a' %s/state/mascon/history %s/state/mascon"):format(state, state))
    local rights = pipe:read "*a"
    pipe:close()
    assert.equal("600\n700\n", rights)
    text, _, status = play([[
prompt
type \e[A
expect answer = 6 * 7
type \n
prompt
type answer\n
expect 42
prompt
type ^D
]], { environment = environment, history = false })
    os.execute("rm -r " .. state)
    assert.equal(0, status, text)
  end)

  it("says in one line that the history cannot be kept", function()
    local text, _, status = play("prompt\ntype 6 * 7\\n\nprompt\ntype 8 * 8\\n\nexpect 64\nprompt\ntype ^D\n",
      { history = "/proc/nowhere/history" })
    assert.equal(0, status, text)
    assert.equal(1, select(2, text:gsub("the history is not kept: /proc/nowhere/history: ", "")))
    for _, path in ipairs { "/", "/dev/full" } do -- whose zeros never end
      text, _, status = play("prompt\ntype 6 * 7\\n\nexpect 42\nprompt\ntype ^D\n", { history = path })
      assert.equal(0, status, text)
    end
  end)

  it("keeps the lines of sessions side by side", function()
    local history = os.tmpname()
    os.remove(history)
    local lines = {}
    for i = 1, 40 do
      lines[i] = "prompt\ntype v = " .. "N" .. i .. "\\n\n"
    end
    local steps = table.concat(lines) .. "prompt\ntype ^D\n"
    local scripts, command = {}, {}
    local base = player.program:match "^.*/" or "./"
    for k = 1, 3 do
      scripts[k] = write((steps:gsub("prompt\n", "expect > \n"):gsub("N", k .. "000 + ")))
      command[k] = ("NO_COLOR=1 TERM=xterm MASCON_HISTORY=%s %smascon_pty %s < %s > /dev/null & "):format(history, base,
        program, scripts[k])
    end
    os.execute(table.concat(command) .. "wait")
    remove(unpack(scripts))
    local file = assert(io.open(history))
    local n = select(2, file:read("*a"):gsub("v = %d000 %+ %d+\n", ""))
    file:close()
    remove(history)
    assert.equal(120, n)
  end)

  it("counts a Ctrl-C before the keys that follow it", function()
    local text, _, status = play [[
prompt
type not this^C
type 6 * 7\n
expect 42
prompt
type ^D
]]
    assert.equal(0, status, text)
  end)

  it("edits a line", function()
    local text, _, status = play [[
prompt
type 34^A12\n
expect 1234
prompt
type 'häß'^B^H\n
expect "hä"
prompt
type ^D
]]
    assert.equal(0, status, text)
  end)

  it("uses colours on a terminal only", function()
    local steps = "expect >\ntype error 'x'\\n\nexpect error: \nexpect >\ntype ^D\n"
    has((play(steps, { environment = "A=1" })), "\27[31m")
    assert.is_nil((play(steps)):find("\27[31m", 1, true))
    assert.is_nil(session("error 'x'\n"):find("\27", 1, true))
  end)

  it("draws pictures and figures", function()
    local steps = [[
expect >
type :show mascon.zeros{3, 8, 8}\n
expect ▀
expect >
type ^D
]]
    has((play(steps, { environment = "COLORTERM=truecolor" })), "\27[38;2;0;0;0m")
    has((play(steps, { environment = "A=1" })), "\27[38;5;16m")
  end)

  it("opens after a script with -i", function()
    local script = write "value = 7\nprint(nn)\n"
    local text, _, status = play("expect nil\nprompt\ntype value\\n\nexpect 7\nprompt\ntype ^D\n",
      { arguments = "-i " .. script })
    remove(script)
    assert.equal(0, status, text)
  end)
end)

describe("the session", function()
  it("shows an error in one block, with the hint, and the traceback on request", function()
    local text = session [[
nn.Conv2d(3, 8, 3, {strid = 3})
function broken()
  error "deep"
end
broken()
:traceback
1 1
undefined_thing.x
]]
    has(text, 'error: Conv2d: unknown option "strid"')
    has(text, 'hint: did you mean "stride"?')
    has(text, "deep")
    has(text, "in function 'broken'")
    assert.is_nil(text:find("mascon/repl", 1, true), text)
    has(text, "undefined_thing")
  end)

  it("outlive an error whose text fails", function()
    local text = session [[
error(setmetatable({}, { __tostring = function() error "no" end }))
error(setmetatable({}, { __tostring = function() return {} end }))
1 + 1
]]
    assert.equal(2, select(2, text:gsub("error: %(table; its __tostring failed%)", "")), text)
    has(text, "\n2\n")
  end)

  it("guesses the method that was meant", function()
    has(session "nn.Linear(2, 3):paramters()\n", '"parameters"')
  end)

  it("has commands", function()
    local file = write "loaded = 99\n"
    local text = session(([[
:time mascon.ones{10}:sum()
:profile mascon.ones{10}:sum()
:memory
:load %s
loaded
:nonsense
:help
:quit
print "not reached"
]]):format(file))
    remove(file)
    has(text, "time: ")
    has(text, "kernel")
    has(text, "cached for reuse")
    has(text, "99")
    has(text, ":nonsense is no command")
    has(text, ":profile expression")
    assert.is_nil(text:find("not reached", 1, true))
  end)

  it("explains and searches", function()
    local text = session "?nn.Conv2d\n?conv\nhelp(nn.Conv2d)\n?nothing_of_that_name\n"
    has(text, "kernel_size        number or table; must be given")
    has(text, "nn.ConvTranspose2d")
    has(text, "mascon.conv2d")
    has(text, 'nothing is known of "nothing_of_that_name"')
  end)

  it("shortens long values", function()
    local text = session "('x'):rep(5000)\nt = {} for i = 1, 1000 do t[i] = i end\nt\nmascon.zeros{100, 5}\n{t, {t}}\n"
    has(text, "(5000 bytes)")
    has(text, "... 960 more")
    has(text, "lines left out")
  end)

  it("evaluates what follows the last semicolon", function()
    local text = session "y = 20; y + 1\nlocal z = {1; 2}; z\nfunction g() return 5; end\ng()\n"
    has(text, "21\n{1, 2}\n5\n")
    has(session "x = 1; math.max(x, 7) -- a comment\n", "7\n")
    has(session "function bad() error 'deep' end\nx = 1; bad()\n:traceback\n", "prompt:1: in main chunk")
  end)

  it("does not wait for more where no line can complete the text", function()
    has(session "'abc\n1 + 1\n", "unfinished string")
    has(session "'abc\n1 + 1\n", "\n2\n")
    has(session "x = 5 x\n1 + 1\n", "\n2\n")
    has(session "'abc\\\ndef'\n", '"abc\\ndef"')
  end)

  it("prints help once, and refuses what a command does not take", function()
    local text = session "help(nn.ReLU)\n"
    assert.equal(1, select(2, text:gsub("max%(x, 0%)", "")), text)
    has(session "help()\n", "?optim")
    has(session ":help nn.ReLU\n", "max(x, 0)")
    has(session ":memory x\n", ":memory takes nothing after it")
  end)

  it("prints tables that contain themselves", function()
    has(session "t = {1} t.t = t\nt\n", "the same table")
  end)

  it("leaves the globals of scripts alone", function()
    local pipe = io.popen(program .. " -e 'print(rawget(_G, \"nn\"), nn, mascon)'")
    assert.equal("nil\tnil\tnil\n", pipe:read "*a")
    pipe:close()
  end)

  it("refuses what is no picture", function()
    local text = session ":show mascon.zeros{5, 8, 8}\n:show mascon.zeros{3, 8, 8} + 7\n:show 5\n"
    has(text, "is no picture")
    has(text, "expected 0 to 1")
  end)

  it("makes variables of local declarations at its outermost level alone", function()
    local lexer = require "mascon.repl.lexer"
    assert.equal("      a = 1", lexer.without_local "local a = 1")
    assert.equal("      a, b = nil", lexer.without_local "local a, b")
    assert.equal("      function f() local x = 1 end", lexer.without_local "local function f() local x = 1 end")
    assert.equal("do local x = 1 end", lexer.without_local "do local x = 1 end")
    assert.equal("s = 'local x'", lexer.without_local "s = 'local x'")
    assert.equal("if a then b() end       c = 1", lexer.without_local "if a then b() end local c = 1")
  end)

  it("answers mascon info", function()
    local pipe = io.popen(program .. " info")
    local text = pipe:read "*a"
    pipe:close()
    for _, word in ipairs { "oneDNN", "zlib", "features", "kernels", "LuaJIT", "device       cpu" } do
      has(text, word)
    end
  end)

  it("cuts the text of the configuration where its room ends", function()
    local text = layer.new("char[?]", 16)
    for size = 1, 15 do
      text[size] = 88
      layer.C.mascon_config_text(text, size)
      assert.is_true(#layer.string(text) < size)
      assert.equal(88, text[size])
    end
  end)

  it("loads modules with -l and refuses unknown options", function()
    assert.equal(0, os.execute(program .. " -l mascon.text -e 'assert(package.loaded[\"mascon.text\"])'"))
    assert.are_not.equal(0, os.execute(program .. " -l no_such_module -e '' 2>/dev/null"))
    assert.are_not.equal(0, os.execute(program .. " -q 2>/dev/null"))
  end)
end)

describe("completion", function()
  local complete = require "mascon.repl.complete"
  local terminal = {
    columns = function() return 80 end,
    files = function() return { "net.lua", "networks/", ".hidden", "photo.png" } end,
  }
  local before

  setup(function()
    before = {}
    for _, name in ipairs { "mascon", "nn", "F", "optim", "x_tensor", "a_net" } do
      before[name] = { rawget(_G, name) }
    end
    rawset(_G, "mascon", mascon)
    rawset(_G, "nn", mascon.nn)
    rawset(_G, "F", mascon.nn.functional)
    rawset(_G, "optim", mascon.optim)
    rawset(_G, "x_tensor", mascon.ones { 2 })
    rawset(_G, "a_net", mascon.nn.Sequential(mascon.nn.Conv2d(3, 4, 3), mascon.nn.ReLU()))
  end)

  teardown(function()
    for name, value in pairs(before) do
      rawset(_G, name, value[1])
    end
  end)

  local cases = {
    { "x_ten", "x_tensor" }, { "mascon.zero", "zeros" }, { "nn.Conv2", "Conv2d" }, { "x_tensor.sha", "shape" },
    { "x_tensor:softm", "softmax" }, { "x_tensor:relu():mea", "mean" }, { "x_tensor:add", "add_" },
    { "nn.Linear(2, 3):state", "state_dict" }, { "a_net:param", "parameters" }, { "a_net[1].wei", "weight" },
    { "nn.Conv2d(3, 8, {pad", "padding" }, { "nn.Conv2d{in_channels = 3, out", "out_channels" },
    { "F.conv2d(x, w, {str", "stride" }, { "x_tensor:sum({1}, {keep", "keepdim" },
    { "optim.Adam(a_net:parameters(), {wei", "weight_decay" }, { "f('ne", "net.lua" }, { "f('ne", "networks/" },
    { ":load pho", "photo.png" }, { ":pro", "profile" }, { ":time x_tensor:su", "sum" }, { "?nn.Lin", "Linear" },
    { "('a'):up", "upper" }, { "x = nn.Upsample{mode = \"bi", "bilinear" }, { "for k in pai", "pairs" },
    { "optim.lr_scheduler.Cos", "CosineAnnealingLR" }, { "mascon.data.DataLoader(d, {batch", "batch_size" },
  }

  it("offers what may stand there, within 20 ms", function()
    for _, case in ipairs(cases) do
      local begun = os.clock() -- of this process: others may be using the machine
      local found = complete.candidates(case[1], nil, terminal.files)
      local ms = (os.clock() - begun) * 1e3
      local list = found and "|" .. table.concat(found.list, "|") .. "|" or ""
      assert.is_truthy(list:find("|" .. case[2] .. "|", 1, true), case[1] .. " gave " .. list)
      assert.is_true(ms < 20 or os.getenv "LD_PRELOAD" ~= nil, ("%s took %.1f ms"):format(case[1], ms))
    end
  end)

  it("looks at the lines before", function()
    local found = complete.candidates("  pad", "nn.Conv2d(3, 8, {kernel_size = 3,", terminal.files)
    assert.same({ "padding", "padding_mode" }, found.list)
  end)

  it("offers no option twice", function()
    local found = complete.candidates("nn.Conv2d(3, 8, {stride = 1, st", nil, terminal.files)
    for _, name in ipairs(found.list) do
      assert.are_not.equal("stride", name)
    end
  end)

  it("runs nothing of the user's", function()
    local called = false
    rawset(_G, "a_trap", setmetatable({}, { __index = function() called = true end }))
    complete.candidates("a_trap.x", nil, terminal.files)
    complete.candidates("a_trap.x.y", nil, terminal.files)
    complete.candidates("a_trap():x", nil, terminal.files)
    rawset(_G, "a_trap", nil)
    assert.is_false(called)
  end)

  it("survives any text", function()
    for _, text in ipairs { "", ")", "}}}", "a.b.c.d:", "'", "[[", "f(g{h(", "--", "x[", "x['a'].", "1.", "...", "::",
      "nn.Conv2d{{{{", "\"\\", "function f(", "?", ":", ": :", "é", "a\0b" } do
      complete.key(text, nil, terminal)
      complete.key(text, "if x then", terminal)
    end
  end)

  it("lists many candidates in columns", function()
    local insert, shown = complete.key("x_tensor:", nil, terminal)
    assert.is_nil(insert)
    has(shown, "more")
    for line in shown:gmatch "[^\n]+" do
      assert.is_true(#line < 80)
    end
  end)
end)

describe("help", function()
  it("knows every class of nn and every optimizer", function()
    for _, part in ipairs { "nn", "optim", "data", "datasets" } do
      for name, v in pairs(mascon[part]) do
        local is_class = part ~= "nn" or type(v) == "table" and rawget(v, "class_name") ~= nil
        if is_class and name:find "^%u" then
          assert.is_truthy(docs.rows[part .. "." .. name], part .. "." .. name .. " has no row in mascon.docs")
        end
      end
    end
  end)

  it("reads the options of every class that has some", function()
    for _, name in ipairs(docs.names) do
      assert.is_truthy(help.find(name), name)
      local row = docs.rows[name]
      if row.before then
        local value = mascon
        for part in name:gmatch "[^.]+" do
          value = value[part]
        end
        local list = help.options_of(value)
        assert.is_true(#list > 0 or name == "transforms.ToTensor", name .. ": no options were read")
      end
    end
    assert.equal("kernel_size", help.options_of(mascon.nn.Conv2d)[3].name)
    assert.is_true(help.options_of(mascon.nn.Conv2d)[3].required)
    assert.equal("0.001", help.options_of(mascon.optim.Adam)[1].standard)
  end)

  it("has examples that run", function()
    local environment = setmetatable({ mascon = mascon, nn = mascon.nn, optim = mascon.optim, data = mascon.data,
      datasets = mascon.datasets, plot = mascon.plot, metrics = mascon.metrics, T = mascon.transforms,
      F = mascon.nn.functional }, { __index = _G })
    for _, name in ipairs(docs.names) do
      local example = docs.rows[name].example
      if example then
        local f = assert(loadstring("return " .. example), name .. ": " .. example)
        local good, err = pcall(setfenv(f, environment))
        assert.is_true(good, name .. ": " .. tostring(err))
      end
    end
  end)

  it("has examples of operations that run", function()
    local op = require "mascon.op"
    for _, row in ipairs(op.list()) do
      if row.example and row.example ~= "" and op.find(row.name) then
        local code = row.example:find("^local ") and row.example or "return " .. row.example
        local f = assert(loadstring(code), row.name .. ": " .. row.example)
        local globals = setmetatable({ mascon = mascon, x = mascon.randn { 2, 3 } }, { __index = _G })
        local good, err = pcall(setfenv(f, globals))
        assert.is_true(good, row.name .. ": " .. tostring(err))
      end
    end
  end)

  it("shows signature, options with defaults, shapes and an example", function()
    local text = help.find "nn.Conv2d"
    for _, part in ipairs { "nn.Conv2d(in_channels, out_channels, kernel_size, {stride = 1",
      "shapes: {batch, in_channels, h, w}", "default 0", "example: nn.Conv2d(3, 8" } do
      has(text, part)
    end
  end)

  it("reads the comment above a function", function()
    has(help.describe(mascon.image.read), "Reads a JPEG or PNG file.")
  end)
end)

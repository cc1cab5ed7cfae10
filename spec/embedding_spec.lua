-- The recipes of examples/embed in the real programs. scripts/hosts unpacks those beside the system; a host
-- that is neither there nor installed makes its test pending.
local mascon = require "mascon"
local nn = mascon.nn

local shell = require "spec.support.shell"

local here = io.popen("pwd"):read "*l"
local run, write = shell.run, shell.write
local library = os.getenv "MASCON_LIBRARY" or here .. "/build/libmascon.so"
local folder, model_path, picture, expected

--- How to start a host: unpacked, installed, or nil.
local function starter(name, program)
  local unpacked = here .. "/build/hosts/" .. name .. "/run"
  local file = io.open(unpacked)
  if file then
    file:close()
    return unpacked, true
  end
  local found = run("command -v " .. program):match "^(/[^\n]+)"
  return found, false
end

local function needs(name, program)
  local path, unpacked = starter(name, program)
  if not path then
    pending(name .. " is not here; scripts/hosts " .. name .. " unpacks it")
  end
  return path, unpacked
end

setup(function()
  folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir -p " .. folder) == 0)
  model_path, picture = folder .. "/model.safetensors", folder .. "/picture.png"
  mascon.manual_seed(11)
  local net = nn.Sequential(nn.Conv2d(3, 10, 3, { padding = 1 }), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Linear(10 * 16 * 16, 10))
  mascon.save_model(model_path, net, mascon.zeros { 1, 3, 32, 32 })
  mascon.image.write(picture, mascon.randint(0, 255, { 3, 300, 200 }):to "uint8")
  local x = mascon.image.resize(mascon.image.read(picture), { 32, 32 }):to "float32" / 255
  local classes = { "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck" }
  net:eval()
  local probability, class = mascon.softmax(net(x:unsqueeze(1)), 2):max(2)
  expected = { class = classes[class:item()], number = class:item(), probability = probability:item() }
end)

teardown(function()
  os.execute("rm -rf " .. folder)
end)

describe("Neovim", function()
  it("classifies the picture under the cursor while the editor goes on", function()
    local nvim = needs("neovim", "nvim")
    write(folder .. "/drive.lua", ([[
      require("mascon_classify").setup { library = %q, model = %q, classes = {} }
      vim.api.nvim_buf_set_lines(0, 0, -1, false, { "see " .. %q })
      vim.api.nvim_win_set_cursor(0, { 1, 10 })
      local said
      vim.notify = function(text) said = text end
      local function ask()
        said = nil
        vim.cmd "Classify"
        assert(vim.wait(10000, function() return said ~= nil end, 1), "no answer")
        return said
      end
      ask() -- the first one loads the library
      -- the longest time in which a timer of one millisecond did not run is the longest pause of the editor
      local timer, last, longest = vim.loop.new_timer(), nil, 0
      timer:start(0, 1, function()
        local now = vim.loop.hrtime()
        longest = math.max(longest, last and now - last or 0)
        last = now
      end)
      for _ = 1, 20 do ask() end
      timer:close()
      io.stdout:write("ANSWER ", said, "\nPAUSE ", longest * 1e-6, "\n")
      -- a bad picture is a message, and the editor lives
      vim.api.nvim_buf_set_lines(0, 0, -1, false, { "/nonexistent.png" })
      io.stdout:write("BAD ", ask(), "\n")
      vim.cmd "qall!"
    ]]):format(library, model_path, picture))
    local text, status = run(("timeout 60 %s --headless -u NONE --cmd 'set rtp+=%s/examples/embed/neovim' -c 'luafile %s'")
      :format(nvim, here, folder .. "/drive.lua"))
    assert.equal(0, status, text)
    assert.matches(("ANSWER %s: %d (%.0f %%)"):format(picture, expected.number, 100 * expected.probability), text, 1, true)
    assert.matches("BAD .*image.read: /nonexistent.png", text)
    local pause = tonumber(text:match "PAUSE ([%d.]+)")
    print(("  Neovim's longest pause: %.1f ms"):format(pause))
    assert.is_true(pause < 100, "the editor stood still for " .. pause .. " ms") -- 16 wanted; CI is shared
  end)
end)

describe("LÖVE", function()
  it("recognises a picture in a thread, the tensor shared by number", function()
    local love = needs("love", "love")
    local text, status = run(("SDL_VIDEODRIVER=dummy HOME=%s MASCON_LIBRARY=%s timeout 60 %s %s/examples/embed/love --model %s "
      .. "--picture %s"):format(folder, library, love, here, model_path, picture))
    assert.equal(0, status, text)
    assert.matches(("%s (%.0f %%)"):format(expected.class, 100 * expected.probability), text, 1, true)
  end)

  it("says what is missing", function()
    local love = needs("love", "love")
    local text = run(("SDL_VIDEODRIVER=dummy HOME=%s MASCON_LIBRARY=%s timeout 20 %s %s/examples/embed/love --picture %s")
      :format(folder, library, love, here, picture))
    assert.matches("%-%-model FILE is missing", text)
  end)
end)

describe("nginx", function()
  local port = 18000 + tonumber(tostring({}):match "0x(%x+)", 16) % 4000
  local url = "http://127.0.0.1:" .. port

  local function start()
    local nginx, unpacked = needs("nginx", "nginx")
    local modules = unpacked and here .. "/build/hosts/nginx/usr/lib/nginx/modules" or "/usr/lib/nginx/modules"
    local more = unpacked and (" lua_package_path \"$prefix?.lua;%s/build/hosts/nginx/usr/share/lua/5.1/?.lua;;\";"):format(here)
      or " lua_package_path \"$prefix?.lua;;\";"
    local conf = assert(io.open "examples/embed/nginx/nginx.conf"):read "*a"
    conf = conf:gsub("8080", tostring(port)):gsub("lua_package_path[^\n]*", more)
    conf = ("load_module %s/ndk_http_module.so;\nload_module %s/ngx_http_lua_module.so;\n"):format(modules, modules) .. conf
    if run "id -u" == "0\n" then
      conf = "user root;\n" .. conf
    end
    write(folder .. "/nginx.conf", conf)
    os.execute(("cp examples/embed/nginx/classify.lua %s/"):format(folder))
    os.execute(("MASCON_LIBRARY=%s MASCON_MODEL=%s timeout 60 %s -p %s/ -c nginx.conf >%s/log 2>&1 &")
      :format(library, model_path, nginx, folder, folder))
    for _ = 1, 100 do
      if run("curl -s " .. url .. "/health") == "ok\n" then
        return
      end
      os.execute "sleep 0.05"
    end
    error(assert(io.open(folder .. "/log")):read "*a")
  end

  local function stop()
    run(("kill $(cat %s/nginx.pid)"):format(folder))
  end

  it("answers pictures, refuses others, and serves other requests meanwhile", function()
    start()
    local good, err = pcall(function()
      local text = run(("curl -s --data-binary @%s %s/classify"):format(picture, url))
      assert.equal(('{"class": "%s", "probability": %.4f}\n'):format(expected.class, expected.probability), text)
      assert.matches('{"error": "image.decode: .*"}', (run("curl -s --data-binary nonsense " .. url .. "/classify")))
      assert.matches("POST a picture", (run("curl -s " .. url .. "/classify")))
      -- pictures one after the other, while the time of other requests is taken
      local text2 = run(("(for i in $(seq 60); do curl -s -o /dev/null --data-binary @%s %s/classify; done) & "
        .. "for i in $(seq 60); do curl -s -o /dev/null -w '%%{time_starttransfer} %%{time_connect}\\n' %s/health; done; wait")
        :format(picture, url, url))
      local times = {}
      for first, connect in text2:gmatch "([%d.]+) ([%d.]+)\n" do
        times[#times + 1] = tonumber(first) - tonumber(connect)
      end
      table.sort(times)
      assert.equal(60, #times)
      print(("  nginx: other requests, median %.2f ms, 99 %% %.2f ms"):format(1000 * times[30], 1000 * times[59]))
      assert.is_true(times[30] < 0.05)
      -- both workers still live
      assert.equal(('{"class": "%s", "probability": %.4f}\n'):format(expected.class, expected.probability),
        (run(("curl -s --data-binary @%s %s/classify"):format(picture, url))))
    end)
    stop()
    assert(good, err)
  end)
end)

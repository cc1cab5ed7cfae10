-- Every code block of README.md and docs/*.md runs. The Lua blocks of a page are one script, run by the
-- program in an empty folder; a line that ends with "--> text" prints that text ("..." stands for anything).
-- Each C block with a main is a program, compiled and run in that folder afterwards. The reference pages are those that scripts/docs makes.
local mascon = require "mascon"

local shell = require "spec.support.shell"

local here = io.popen("pwd"):read "*l"
local read, run, write = shell.read, shell.run, shell.write
local library = os.getenv "MASCON_LIBRARY" or here .. "/build/libmascon.so"
local program = os.getenv "MASCON_PROGRAM" or here .. "/build/mascon"
local build = library:match "^(.*)/[^/]*$"

--- The page with all lines emptied but those of blocks in this language, so that line numbers stay.
local function blocks(text, language)
  local lines, inside, found = {}, false, false
  for line in (text .. "\n"):gmatch "(.-)\n" do
    if line:match "^```" then
      inside = not inside and line == "```" .. language
      found = found or inside
      lines[#lines + 1] = ""
    else
      lines[#lines + 1] = inside and line or ""
    end
  end
  return found and table.concat(lines, "\n")
end

--- The C programs of a page.
local function c_programs(text)
  local list = {}
  for code in text:gmatch "\n```c\n(.-)\n```" do
    if code:find "int main%(" then
      list[#list + 1] = code .. "\n"
    end
  end
  return list
end

--- What the lines marked with --> say, in order.
local function expected_lines(code)
  local list = {}
  for line in code:gmatch "[^\n]+" do
    list[#list + 1] = line:match "%-%->%s*(.-)%s*$"
  end
  return list
end

local function pattern_of(text)
  return "^" .. text:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("%%%.%%%.%%%.", ".*") .. "$"
end

local function check_output(page, code, output)
  local lines = {}
  for line in output:gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  local at = 1
  for _, text in ipairs(expected_lines(code)) do
    local pattern, from = pattern_of(text), at
    while lines[at] and not lines[at]:match(pattern) do
      at = at + 1
    end
    assert.is_truthy(lines[at], ("%s: '%s' was not printed after line %d of\n%s"):format(page, text, from - 1, output))
    at = at + 1
  end
end

--- Where a page's programs run, below the folder of all.
local function folder_of_page(page)
  return "/" .. (page:gsub("[/.]", "_"))
end

local pages = { "README.md" }
for path in io.popen("ls docs/*.md docs/reference/*.md 2>/dev/null"):lines() do
  pages[#pages + 1] = path
end

describe("the documents", function()
  local folder, pictures

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    pictures = folder .. "/pictures"
    os.execute("mkdir -p " .. pictures)
  end)

  teardown(function()
    os.execute("rm -rf " .. folder)
  end)

  for _, page in ipairs(pages) do
    local text = read(page)
    local lua = blocks(text, "lua")
    local place = folder_of_page(page)
    if lua then
      it(page .. " runs", function()
        os.execute("mkdir -p " .. folder .. place)
        write(folder .. place .. "/page.lua", lua)
        local output, status = run(("cd %s%s && LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;%s/examples/?.lua;%s/?.lua;;' "
          .. "MASCON_DATA=%s MASCON_CACHE=%s/cache MASCON_LIBRARY=%s timeout 120 %s -l spec.support.small_data page.lua"):format(
          folder, place, here, here, here, here, pictures, folder, library, program))
        assert.equal(0, status, page .. "\n" .. output)
        check_output(page, lua, output)
      end)
    end
    for i, code in ipairs(c_programs(text)) do
      it(("%s compiles and runs (program %d)"):format(page, i), function()
        os.execute("mkdir -p " .. folder .. place)
        write(("%s%s/c%d.c"):format(folder, place, i), code)
        local more = code:find("<lua", 1, true) and "$(pkg-config --cflags --libs luajit)" or ""
        local output, status = run(("cd %s%s && cc -std=c99 -Wall -Wextra -Werror -I%s/lib -I%s/include c%d.c -o c%d -L%s "
          .. "-lmascon -Wl,-rpath,%s %s && ./c%d"):format(folder, place, here, build, i, i, build, build, more, i))
        assert.equal(0, status, page .. "\n" .. output)
      end)
    end
  end

  it("name files that exist", function()
    for _, page in ipairs(pages) do
      local text = read(page)
      local folder_of = page:match "^(.*/)" or ""
      for target in text:gmatch "%]%(([^)#:]+)[^)]*%)" do
        local file = io.open(folder_of .. target)
        assert.is_truthy(file, page .. " links to " .. target)
        file:close()
      end
    end
  end)

  it("describe scripts/new_op, whose samples ops_spec can read", function()
    local copy = folder .. "/new_op"
    local output, status = run(("mkdir -p %s/lib/reference %s/scripts && cp -r lib/ops %s/lib/ && cp scripts/new_op %s/scripts/")
      :format(copy, copy, copy, copy))
    assert.equal(0, status, output)
    output, status = run(copy .. "/scripts/new_op doubled")
    assert.equal(0, status, output)
    assert.is_truthy(read(copy .. "/lib/ops/ops.def"):find("\nOP(doubled)\n", 1, true))
    local made = assert(loadfile(copy .. "/spec/ops/doubled.lua"))()
    assert.is_true(#made.samples > 0)
    for _, sample in ipairs(made.samples) do
      assert.is_true(sample.args[1].sample)
    end
    output, status = run(copy .. "/scripts/new_op doubled")
    assert.equal(1, status)
    assert.is_truthy(output:find("lib/ops/ops.def already has doubled", 1, true))
  end)

  it("have the reference pages that scripts/docs makes", function()
    local made = folder .. "/reference"
    local output, status = run(("MASCON_LIBRARY=%s MASCON_PROGRAM=%s scripts/docs %s"):format(library, program, made))
    assert.equal(0, status, output)
    output, status = run(("diff -r %s docs/reference"):format(made))
    assert.equal(0, status, "run scripts/docs\n" .. output:sub(1, 2000))
  end)

  it("have annotations of every name for editors", function()
    local path = folder .. "/meta.lua"
    local output, status = run(("MASCON_LIBRARY=%s %s scripts/annotations.lua %s"):format(library, program, path))
    assert.equal(0, status, output)
    local meta = read(path)
    assert(loadstring(meta, "=meta"))
    local function annotated(name)
      assert.is_truthy(meta:find("\nfunction " .. name .. "(", 1, true), name .. " has no annotation")
    end
    for _, row in ipairs(require("mascon.op").list()) do
      local rows = require "mascon.op.rows"
      if not rows.has(row, rows.BACKWARD) and not rows.has(row, rows.HIDDEN) then
        annotated("mascon." .. row.name)
      end
    end
    for name in pairs(require("mascon.tensor").methods) do
      annotated("Tensor:" .. name)
    end
    for name, class in pairs(mascon.nn) do
      if type(class) == "table" and rawget(class, "class_name") and name ~= "Module" then
        annotated("nn." .. name)
      end
    end
    for _, part in ipairs { "optim", "data", "datasets", "plot", "metrics", "models", "image" } do
      for name, v in pairs(mascon[part]) do
        if type(v) == "function" then
          annotated(part .. "." .. name)
        end
      end
    end
    for _, name in ipairs { "zeros", "tensor", "no_grad", "save", "load", "help", "compile", "save_model" } do
      annotated("mascon." .. name)
    end
  end)

  it("describe every operation, class and function", function()
    assert.is_truthy(mascon.help ~= nil)
    local all = run "cat docs/reference/*.md"
    for _, row in ipairs(require("mascon.op").list()) do
      assert.is_truthy(all:find("\n### " .. row.name .. "\n", 1, true), row.name)
    end
    for _, name in ipairs(require("mascon.docs").names) do
      assert.is_truthy(all:find("\n### " .. name .. "\n", 1, true), name)
    end
  end)
end)

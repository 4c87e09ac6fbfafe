package main

import (
	"bytes"
	"io"

	lua "github.com/yuin/gopher-lua"
)

func bytesOf(text []byte) io.Reader { return bytes.NewReader(text) }

// toLua turns JSON into Lua's values, lists into tables that count from 1.
func toLua(state *lua.LState, value any) lua.LValue {
	switch found := value.(type) {
	case string:
		return lua.LString(found)
	case float64:
		return lua.LNumber(found)
	case int64:
		return lua.LNumber(found)
	case bool:
		return lua.LBool(found)
	case []any:
		table := state.NewTable()
		for _, one := range found {
			table.Append(toLua(state, one))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for name, one := range found {
			table.RawSetString(name, toLua(state, one))
		}
		return table
	}
	return lua.LNil
}

// fromLua turns Lua's values into JSON; a table whose first key is 1 is a list.
func fromLua(value lua.LValue) any {
	switch found := value.(type) {
	case lua.LString:
		return string(found)
	case lua.LNumber:
		return float64(found)
	case lua.LBool:
		return bool(found)
	case *lua.LTable:
		if found.Len() > 0 {
			list := []any{}
			found.ForEach(func(_, one lua.LValue) { list = append(list, fromLua(one)) })
			return list
		}
		object := map[string]any{}
		found.ForEach(func(name, one lua.LValue) { object[name.String()] = fromLua(one) })
		return object
	}
	return nil
}

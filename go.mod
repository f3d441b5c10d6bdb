module github.com/samebytes/samebytes

go 1.24

module cofferdam.test/service

go 1.19

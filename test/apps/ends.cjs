console.log('a script that ends');
